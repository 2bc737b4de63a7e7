#include "base/err.h"

const char *ipsp_err_word(int err)
{
	switch (err) {
	case IPSP_OK:
		return "ok";
#define IPSP_ERR_CASE(name, value, word, text)                                                     \
	case name:                                                                                 \
		return word;
		IPSP_ERRORS(IPSP_ERR_CASE)
		IPSP_ERRORS_INTERNAL(IPSP_ERR_CASE)
#undef IPSP_ERR_CASE
	}
	return "unknown"; /* a number from elsewhere, of a newer version perhaps */
}

const char *ipsp_err_text(int err)
{
	switch (err) {
	case IPSP_OK:
		return "done";
#define IPSP_ERR_CASE(name, value, word, text)                                                     \
	case name:                                                                                 \
		return text;
		IPSP_ERRORS(IPSP_ERR_CASE)
		IPSP_ERRORS_INTERNAL(IPSP_ERR_CASE)
#undef IPSP_ERR_CASE
	}
	return "an error that this version does not know";
}
