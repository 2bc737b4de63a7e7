/*
 * The duplicates of the last healing as JSON: too many for one text, as sessions are.
 */
#include "daemon/show.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a peer says may be no UTF-8, which JSON can't have. */
static json_t *name(const char *p, size_t n)
{
	json_t *value = n > 0 ? json_stringn(p, n) : json_null();

	return value ? value : json_string("(not UTF-8)");
}

static char *duplicate_text(const struct ipsp_context_conf *conf,
			    const struct ipsp_duplicate_view *view, ipsp_ms now)
{
	char addr[IPSP_ADDR_TEXT_MAX];
	json_int_t age_ms = now > view->found_at ? (json_int_t)(now - view->found_at) : 0;
	json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:I}", "address",
				   ipsp_addr_text(view->addr, addr, sizeof(addr)), "pool",
				   conf->pools[view->pool].name, "subscriber",
				   name(view->subscriber, view->n_subscriber), "peer-subscriber",
				   name(view->peer_subscriber, view->n_peer_subscriber),
				   "dropped-by", view->ours ? "peer" : "here", "state",
				   view->open ? "open" : "resolved", "age-ms", age_ms);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return text;
}

static void put_words(struct ipsp_buf *text, const char *words)
{
	ipsp_buf_put(text, words, strlen(words));
}

static void put_end(const struct ipspd_ctx *ctx, struct ipsp_buf *text)
{
	char words[64];

	snprintf(words, sizeof(words), "],\"not-listed\":%llu}",
		 (unsigned long long)ipsp_node_duplicates_not_listed(ctx->node));
	put_words(text, words);
}

bool ipspd_show_duplicates(struct ipspd_show_duplicates *show, const struct ipspd_ctx *ctx,
			   size_t max, struct ipsp_buf *text)
{
	const ipsp_ms now = ipspd_now();
	const struct ipsp_context_conf *conf = ipsp_node_conf(ctx->node);
	struct ipsp_duplicate_view view;
	size_t start = text->len;

	if (!show->begun)
		put_words(text, "{\"duplicates\":[");
	show->begun = true;
	while (!text->failed && text->len - start < max) {
		char *one;

		if (!ipsp_node_duplicate(ctx->node, &show->cursor, &view)) {
			put_end(ctx, text);
			show->ended = true;
			break;
		}
		one = duplicate_text(conf, &view, now);
		if (!one)
			return false;
		if (show->any)
			put_words(text, ",");
		put_words(text, one);
		free(one);
		show->any = true;
	}
	return !text->failed;
}
