/* folder - where a target keeps its files: in memory where that can be, and gone at the end. */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <stddef.h>

/* Made at the first call; the same at each. Its log is told errors only. */
const char *fuzz_folder(void);
void fuzz_folder_empty(void);				    /* files in it, and in folders of it */
const char *fuzz_path(const char *name);		    /* FOLDER/@name, in a static buffer */
void fuzz_write(const char *path, const void *p, size_t n); /* mode 0600 */
size_t fuzz_read(const char *path, void *p, size_t cap);    /* 0 where there is none */

#endif
