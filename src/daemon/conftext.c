#include "daemon/conftext.h"
#include "base/err.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The tokens, as libconfig has them: a name [A-Za-z*][-A-Za-z0-9_*]*, which true and false are
 * too; an integer with an optional sign, decimal or 0x, L or LL behind it where it has 64 bits; a
 * float; a string in double quotes with backslash escapes; one of = : ; , { } ( ) [ ]. Comments go
 * from # or // to the end of the line, or from slash-star to star-slash.
 */
enum token {
	TOK_END,
	TOK_BAD,
	TOK_NAME = 'a',
	TOK_STRING = '"',
	TOK_INT = '0',
	TOK_FLOAT = '.',
	TOK_EQUALS = '=',
};

struct lexer {
	const char *at; /* behind the last token */
	unsigned line;	/* of the last token's end */
	const char *from;
	size_t len;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '*' || c == '-' || c == '_';
}

static void skip_to(struct lexer *lx, const char *to)
{
	for (; lx->at < to; lx->at++)
		lx->line += *lx->at == '\n';
}

static void skip_blanks(struct lexer *lx)
{
	for (;;) {
		const char *p = lx->at;
		const char *end;

		if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
			skip_to(lx, p + strcspn(p, "\n"));
		} else if (p[0] == '/' && p[1] == '*') {
			end = strstr(p + 2, "*/");
			skip_to(lx, end ? end + 2 : p + strlen(p));
		} else if (*p != '\0' && strchr(" \t\r\n\f", *p)) {
			skip_to(lx, p + 1);
		} else {
			return;
		}
	}
}

/* The longest number at @p, as the scanner of libconfig takes it. */
static enum token number(const char *p, const char **end)
{
	const char *digits = p + (*p == '-' || *p == '+');
	const char *q = digits;
	bool is_float = false;

	if (p == digits && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') &&
	    isxdigit((unsigned char)p[2])) {
		for (q = p + 2; isxdigit((unsigned char)*q); q++)
			;
	} else {
		while (is_digit(*q))
			q++;
		if (*q == '.') {
			is_float = true;
			for (q++; is_digit(*q); q++)
				;
		}
		if (q > digits && (*q == 'e' || *q == 'E') &&
		    (is_digit(q[1]) || ((q[1] == '-' || q[1] == '+') && is_digit(q[2])))) {
			is_float = true;
			for (q += 2; is_digit(*q); q++)
				;
		}
	}
	if (q == digits)
		return TOK_BAD;
	if (!is_float && *q == 'L')
		q += q[1] == 'L' ? 2 : 1;
	*end = q;
	return is_float ? TOK_FLOAT : TOK_INT;
}

static enum token string(const char *p, const char **end)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	if (*p == '\0')
		return TOK_BAD;
	*end = p + 1;
	return TOK_STRING;
}

static enum token next(struct lexer *lx)
{
	enum token tok = TOK_BAD;
	const char *p, *end;

	skip_blanks(lx);
	p = end = lx->at;
	if (*p == '\0')
		return TOK_END;
	if (isalpha((unsigned char)*p) || *p == '*') {
		while (is_name(*end))
			end++;
		tok = TOK_NAME;
	} else if (is_digit(*p) || *p == '-' || *p == '+' || *p == '.') {
		tok = number(p, &end);
	} else if (*p == '"') {
		tok = string(p, &end);
	} else if (strchr("=:;,{}()[]", *p)) {
		tok = *p == ':' ? TOK_EQUALS : (enum token) * p;
		end++;
	}
	if (end == p) /* nothing that is known: on by one, so that the rest can be looked at */
		end++;
	lx->from = p;
	lx->len = (size_t)(end - p);
	skip_to(lx, end);
	return tok;
}

/* ---------------------------------------------------------------- what libconfig doesn't say */

static bool int_fits(const char *from, size_t len)
{
	char text[32];
	bool is_long = from[len - 1] == 'L', hex = len > 1 && (from[1] == 'x' || from[1] == 'X');
	long long v;

	while (from[len - 1] == 'L')
		len--;
	if (len >= sizeof(text))
		return false;
	memcpy(text, from, len);
	text[len] = '\0';
	errno = 0;
	v = strtoll(text, NULL, hex ? 16 : 10);
	return errno == 0 && (is_long || (v >= INT_MIN && v <= INT_MAX));
}

/* A character that looks like one of the syntax, and is none: a typographic quote, a hard space. */
static bool tell_not_ascii(struct lexer *lx, ipspd_conftext_fault_fn *fault, void *arg)
{
	char text[160];
	size_t n = 1;

	if ((unsigned char)*lx->from < 0x80)
		return false;
	while (n < 4 && ((unsigned char)lx->from[n] & 0xc0) == 0x80)
		n++;
	snprintf(text, sizeof(text),
		 "'%.*s' stands outside of a text, where only ASCII is allowed: quotes are \", "
		 "blanks "
		 "are plain spaces or tabs",
		 (int)n, lx->from);
	fault(arg, lx->line, "syntax", text);
	skip_to(lx, lx->from + strcspn(lx->from, "\n")); /* one a line is enough */
	return true;
}

bool ipspd_conftext_check(const char *text, ipspd_conftext_fault_fn *fault, void *arg)
{
	struct lexer lx = {.at = text, .line = 1};
	char key[64] = "syntax";
	bool harmless = true;
	int depth = 0;
	enum token tok;

	while ((tok = next(&lx)) != TOK_END) {
		switch ((int)tok) {
		case TOK_NAME:
			snprintf(key, sizeof(key), "%.*s", (int)lx.len, lx.from);
			break;
		case TOK_INT:
			if (!int_fits(lx.from, lx.len))
				fault(arg, lx.line, key, "the number is too large for any key");
			break;
		case TOK_BAD:
			if (tell_not_ascii(&lx, fault, arg))
				harmless = false;
			if (*lx.from != '@')
				break;
			fault(arg, lx.line, "@include",
			      "not taken: the configuration is one file, so that it is read and "
			      "written as a whole");
			harmless = false;
			break;
		case '{':
		case '(':
		case '[':
			if (++depth != IPSPD_CONFTEXT_DEPTH + 1)
				break;
			fault(arg, lx.line, key, "nested too deep; allowed are 16 levels");
			harmless = false;
			break;
		case '}':
		case ')':
		case ']':
			depth--;
			break;
		default:
			break;
		}
	}
	return harmless;
}

/* ---------------------------------------------------------------- where each setting stands */

struct parser {
	struct ipspd_conftext *ct;
	struct lexer lx;
	enum token tok;	 /* looked at, not taken yet */
	size_t last_end; /* of the last token taken */
	int depth;
	int err;
};

static void take(struct parser *ps)
{
	ps->last_end = (size_t)(ps->lx.at - ps->ct->text);
	ps->tok = next(&ps->lx);
}

static size_t tok_from(const struct parser *ps)
{
	return (size_t)(ps->lx.from - ps->ct->text);
}

static bool bad(struct parser *ps)
{
	if (ps->err == 0)
		ps->err = IPSP_ERR_FORMAT;
	return false;
}

static size_t add_item(struct parser *ps, size_t parent)
{
	struct ipspd_conftext *ct = ps->ct;

	if (ct->n == ct->cap) {
		size_t cap = ct->cap ? ct->cap * 2 : 64;
		struct ipspd_conftext_item *items = realloc(ct->items, cap * sizeof(*items));

		if (!items) {
			ps->err = IPSP_ERR_NOMEM;
			return 0;
		}
		ct->items = items;
		ct->cap = cap;
	}
	ct->items[ct->n] = (struct ipspd_conftext_item){.parent = parent};
	return ct->n++;
}

static bool value(struct parser *ps, size_t item);

static bool settings(struct parser *ps, size_t parent)
{
	while (ps->tok == TOK_NAME) {
		size_t item = add_item(ps, parent);

		if (ps->err)
			return false;
		ps->ct->items[item].name = tok_from(ps);
		ps->ct->items[item].n_name = ps->lx.len;
		take(ps);
		if (ps->tok != TOK_EQUALS)
			return bad(ps);
		take(ps);
		if (!value(ps, item))
			return false;
		if (ps->tok == (enum token)';' || ps->tok == (enum token)',')
			take(ps);
		ps->ct->items[item].end = ps->last_end;
	}
	return true;
}

static bool elements(struct parser *ps, size_t parent, enum token close)
{
	while (ps->tok != close) {
		size_t item = add_item(ps, parent);

		if (ps->err || !value(ps, item))
			return false;
		if (ps->tok == (enum token)',')
			take(ps);
		else if (ps->tok != close)
			return bad(ps);
		ps->ct->items[item].end = ps->last_end;
	}
	return true;
}

static bool aggregate(struct parser *ps, size_t item)
{
	enum token open = ps->tok;
	enum token close = (enum token)(open == (enum token)'{'	  ? '}'
					: open == (enum token)'(' ? ')'
								  : ']');
	bool ok;

	if (++ps->depth > IPSPD_CONFTEXT_DEPTH)
		return bad(ps);
	take(ps);
	ok = close == (enum token)'}' ? settings(ps, item) : elements(ps, item, close);
	if (!ok || ps->tok != close)
		return bad(ps);
	take(ps);
	ps->depth--;
	return true;
}

static bool value(struct parser *ps, size_t item)
{
	size_t from = tok_from(ps);
	char kind = 0;

	switch ((int)ps->tok) {
	case '{':
	case '(':
	case '[':
		kind = (char)ps->tok;
		if (!aggregate(ps, item))
			return false;
		break;
	case TOK_STRING:
		kind = '"';
		while (ps->tok == TOK_STRING) /* "a" "b" is "ab" */
			take(ps);
		break;
	case TOK_NAME:
	case TOK_INT:
	case TOK_FLOAT:
		take(ps);
		break;
	default:
		return bad(ps);
	}
	ps->ct->items[item].kind = kind;
	ps->ct->items[item].value = from;
	ps->ct->items[item].value_end = ps->last_end;
	return true;
}

int ipspd_conftext_parse(struct ipspd_conftext *ct, const char *text)
{
	struct parser ps = {.ct = ct, .lx = {.at = text, .line = 1}};

	*ct = (struct ipspd_conftext){.text = text};
	add_item(&ps, 0);
	if (ps.err == 0) {
		take(&ps);
		settings(&ps, 0);
		if (ps.tok != TOK_END)
			bad(&ps);
	}
	if (ps.err) {
		ipspd_conftext_fini(ct);
		return ps.err;
	}
	ct->items[0].kind = '{';
	ct->items[0].value_end = ct->items[0].end = strlen(text);
	return 0;
}

void ipspd_conftext_fini(struct ipspd_conftext *ct)
{
	free(ct->items);
	*ct = (struct ipspd_conftext){0};
}

const struct ipspd_conftext_item *ipspd_conftext_child(const struct ipspd_conftext *ct,
						       const struct ipspd_conftext_item *parent,
						       const char *name, size_t from)
{
	size_t place = (size_t)(parent - ct->items);

	for (size_t i = from > place + 1 ? from : place + 1; i < ct->n; i++) {
		const struct ipspd_conftext_item *item = &ct->items[i];

		if (item->parent != place)
			continue;
		if (!name || (item->n_name == strlen(name) &&
			      memcmp(ct->text + item->name, name, item->n_name) == 0))
			return item;
	}
	return NULL;
}

/* What \c stands for, or -1 where libconfig keeps both characters. */
static int escape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'f':
		return '\f';
	case '\\':
	case '"':
		return c;
	default:
		return -1;
	}
}

/* One character of a string literal at *p, moved behind it; -1 at the closing quote. */
static int unescaped(const char **p)
{
	const char *q = *p;
	char hex[3] = "";
	int c = (unsigned char)*q;

	if (c == '"')
		return -1;
	*p += 1;
	if (c != '\\')
		return c;
	if ((q[1] == 'x' || q[1] == 'X') && isxdigit((unsigned char)q[2]) &&
	    isxdigit((unsigned char)q[3])) {
		memcpy(hex, q + 2, 2);
		*p += 3;
		return (int)strtol(hex, NULL, 16);
	}
	if (escape(q[1]) >= 0) {
		*p += 1;
		c = escape(q[1]);
	}
	return c;
}

bool ipspd_conftext_is(const struct ipspd_conftext *ct, const struct ipspd_conftext_item *item,
		       const char *want)
{
	struct lexer lx = {.at = ct->text + item->value, .line = 1};

	if (item->kind != '"')
		return false;
	while (lx.at < ct->text + item->value_end && next(&lx) == TOK_STRING) {
		const char *p = lx.from + 1;
		int c;

		while ((c = unescaped(&p)) >= 0)
			if (c != (unsigned char)*want++ || c == 0)
				return false;
	}
	return *want == '\0';
}
