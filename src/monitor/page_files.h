/* page_files - the bytes of src/monitor/page, put into the program when it is built. */
#ifndef MONITOR_PAGE_FILES_H
#define MONITOR_PAGE_FILES_H

#include <stddef.h>

extern const unsigned char page_index_html[], page_js[], page_css[], page_icon_svg[];
extern const size_t page_index_html_size, page_js_size, page_css_size, page_icon_svg_size;

#endif
