/*
 * conftext - the text of a configuration file: its settings and where each stands.
 *
 * libconfig gives values and lines, but a file that it writes has lost its comments, and it takes
 * the number 4294967321 for 25 without a word. So the text is also read here, by the same
 * grammar: to refuse such numbers, and to change a few values in place.
 */
#ifndef IPSPD_CONFTEXT_H
#define IPSPD_CONFTEXT_H

#include <stdbool.h>
#include <stddef.h>

#define IPSPD_CONFTEXT_DEPTH 16

/*
 * Tells every number that doesn't fit, an @include, nesting that is too deep, and what is no ASCII
 * outside of a text. False: libconfig must not see the text (an @include may name a folder, on
 * which its scanner ends the process), or would have no better word for it.
 */
typedef void ipspd_conftext_fault_fn(void *arg, unsigned line, const char *key, const char *text);
bool ipspd_conftext_check(const char *text, ipspd_conftext_fault_fn *fault, void *arg);

struct ipspd_conftext_item {	 /* one setting, or one element of a list; offsets into the text */
	size_t parent;		 /* its place in items[]; the first item is the file itself */
	size_t name, n_name;	 /* n_name 0: an element, or the file */
	size_t value, value_end; /* "..." or { ... } */
	size_t end;		 /* behind its ; or , where it has one, else value_end */
	char kind;		 /* { ( [ or " for a string, 0 for other scalars */
};

struct ipspd_conftext {
	const char *text;		   /* borrowed */
	struct ipspd_conftext_item *items; /* owned, n; each before its children, in order */
	size_t n, cap;
};

/* Returns 0, IPSP_ERR_FORMAT where libconfig would find a fault too, or IPSP_ERR_NOMEM. */
int ipspd_conftext_parse(struct ipspd_conftext *ct, const char *text);
void ipspd_conftext_fini(struct ipspd_conftext *ct);

/* The child of @parent of that name (NULL: any) at or behind place @from; NULL when there is none.
 */
const struct ipspd_conftext_item *ipspd_conftext_child(const struct ipspd_conftext *ct,
						       const struct ipspd_conftext_item *parent,
						       const char *name, size_t from);

/* Is the value the string @want? */
bool ipspd_conftext_is(const struct ipspd_conftext *ct, const struct ipspd_conftext_item *item,
		       const char *want);

#endif
