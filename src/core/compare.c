/*
 * compare - what has to be the same on both sides before anything is shared: a version of the
 * protocol that both speak, and the definitions of the pools (P1), item by item.
 */
#include "core/node_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_AGAIN_MS 200
#define CONF_PART    1024
#define CONF_MAX     (256u * 1024u)
#define LINES_MAX    200 /* of the differences are shown */
#define LOGGED_MAX   20

void ipsp_compare_init(struct ipsp_node *n)
{
	struct ipsp_compare *c = &n->compare;
	uint8_t before[sizeof c->digest];

	memcpy(before, c->digest, sizeof before);
	ipsp_buf_clear(&c->encoded);
	ipsp_conf_encode_pools(n->pools_from_log ? &n->file : &n->conf, &c->encoded);
	ipsp_conf_digest(c->encoded.data, c->encoded.len, c->digest);
	if (memcmp(before, c->digest, sizeof before) == 0)
		return; /* a reload that leaves the pools as they are: so is what was found */
	c->known = c->same = c->asking = c->no_version = false;
	c->part_due = false; /* it was asked for of what stood here before */
	memset(c->peer_digest, 0, sizeof c->peer_digest);
}

static void lines_clear(struct ipsp_compare *c)
{
	c->n_found = 0;
	for (size_t i = 0; i < c->n_lines; i++)
		free(c->lines[i]);
	free(c->lines);
	c->lines = NULL;
	c->n_lines = 0;
}

void ipsp_compare_fini(struct ipsp_node *n)
{
	lines_clear(&n->compare);
	ipsp_buf_fini(&n->compare.encoded);
	ipsp_buf_fini(&n->compare.theirs);
}

static void keep_line(struct ipsp_compare *c, const char *text)
{
	char **lines = realloc(c->lines, (c->n_lines + 1) * sizeof *lines);
	char *copy = lines ? strdup(text) : NULL;
	if (lines)
		c->lines = lines;
	if (copy)
		c->lines[c->n_lines++] = copy;
}

/* All are counted; the first LINES_MAX are kept. */
static void add_line(void *arg, const char *item, const char *here, const char *peer)
{
	struct ipsp_compare *c = arg;
	char text[512];

	if (++c->n_found > LINES_MAX)
		return;
	snprintf(text, sizeof text, "%s: here %s, peer %s", item, here, peer);
	keep_line(c, text);
}

/* Behind them: how many there are. */
static void say_more(struct ipsp_compare *c)
{
	char text[80];

	if (c->n_found <= LINES_MAX)
		return;
	snprintf(text, sizeof text, "%zu differences in all: the first %d are shown", c->n_found,
		 LINES_MAX);
	keep_line(c, text);
}

static void compared(struct ipsp_node *n, bool same)
{
	struct ipsp_compare *c = &n->compare;

	c->known = true;
	c->same = same;
	c->asking = false;
	n->hello_soon = true;
	memcpy(c->peer_digest, n->peer.hello.digest, sizeof c->peer_digest);
	if (same)
		return;
	ipsp_say(n, IPSP_LOG_ERROR,
		 "the pools of the two sides are not identical (%zu difference%s, see ipspctl "
		 "check-config): %s until both files say the same",
		 c->n_found, c->n_found == 1 ? "" : "s",
		 n->side.shared ? "nothing moves but what a session asks for by its address,"
				: "nothing is shared");
	for (size_t i = 0; i < c->n_lines && i < LOGGED_MAX; i++)
		ipsp_say(n, IPSP_LOG_ERROR, "difference: %s", c->lines[i]);
	if (c->n_found > LOGGED_MAX)
		ipsp_say(n, IPSP_LOG_ERROR, "%zu differences in all: the first %d are logged",
			 c->n_found, LOGGED_MAX);
}

static void compare_encoded(struct ipsp_node *n)
{
	struct ipsp_compare *c = &n->compare;
	struct ipsp_context_conf theirs;
	int differs = -1;

	lines_clear(c);
	ipsp_conf_init(&theirs, n->conf.name);
	if (ipsp_conf_decode_pools(c->theirs.data, c->theirs.len, &theirs) == 0)
		differs = ipsp_conf_diff(n->pools_from_log ? &n->file : &n->conf, &theirs, add_line,
					 c);
	else
		add_line(c, "pools", "readable", "definitions that this version cannot read");
	ipsp_conf_fini(&theirs);
	say_more(c);
	compared(n, differs == 0);
}

static const char *range_text(char text[16], unsigned min, unsigned max)
{
	snprintf(text, 16, min == max ? "%u" : "%u to %u", min, max);
	return text;
}

/* No version is common: that is the difference, and the pools can't be asked for. */
static void no_version(struct ipsp_node *n)
{
	struct ipsp_compare *c = &n->compare;
	const struct ipsp_hello *h = &n->peer.hello;
	char here[16], peer[16];

	if (c->no_version && c->peer_min == h->version_min && c->peer_max == h->version_max)
		return;
	range_text(here, IPSP_VERSION_MIN, IPSP_VERSION);
	range_text(peer, h->version_min, h->version_max);
	lines_clear(c);
	add_line(c, "versions of the protocol", here, peer);
	c->known = c->no_version = true;
	c->same = c->asking = false;
	c->peer_min = h->version_min;
	c->peer_max = h->version_max;
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_ERROR,
		 "no version of the protocol is common: this side (ipspd %s) speaks %s, the peer "
		 "(ipspd %s) %s: nothing is shared until ipspd on %s host is upgraded",
		 n->version, here, h->version, peer,
		 h->version_min > IPSP_VERSION ? "this" : "the peer's");
}

static void ask_from_the_start(struct ipsp_compare *c)
{
	c->asked_at = IPSP_NEVER;
	ipsp_buf_clear(&c->theirs);
}

void ipsp_compare_on_hello(struct ipsp_node *n)
{
	struct ipsp_compare *c = &n->compare;
	const struct ipsp_hello *h = &n->peer.hello;

	if (n->peer.speaks == 0) {
		no_version(n);
		return;
	}
	if (c->no_version)
		c->known = c->no_version = false;
	if (c->known && memcmp(c->peer_digest, h->digest, sizeof h->digest) == 0)
		return;
	if (memcmp(c->digest, h->digest, sizeof h->digest) == 0) {
		lines_clear(c);
		compared(n, true);
		return;
	}
	if (c->asking && !c->known && memcmp(c->asked_digest, h->digest, sizeof h->digest) == 0)
		return;
	c->known = false;
	c->asking = true;
	memcpy(c->asked_digest, h->digest, sizeof h->digest);
	ask_from_the_start(c);
}

/* The request for the next part, when it is due: true and its offset. */
bool ipsp_compare_next(struct ipsp_node *n, uint32_t *offset)
{
	struct ipsp_compare *c = &n->compare;

	if (!c->asking || !n->peer.known)
		return false;
	if (c->asked_at != IPSP_NEVER && n->now - c->asked_at < ASK_AGAIN_MS)
		return false;
	c->asked_at = n->now;
	*offset = (uint32_t)c->theirs.len;
	return true;
}

ipsp_ms ipsp_compare_due(const struct ipsp_node *n)
{
	if (!n->compare.asking || !n->peer.known || !ipsp_heard(n))
		return IPSP_NEVER;
	return n->compare.asked_at == IPSP_NEVER ? n->now : n->compare.asked_at + ASK_AGAIN_MS;
}

void ipsp_compare_on_ask(struct ipsp_node *n, uint32_t offset)
{
	if (offset >= n->compare.encoded.len)
		return;
	n->compare.part_due = true;
	n->compare.part_offset = offset;
}

bool ipsp_compare_part(struct ipsp_node *n, struct ipsp_conf_part *part)
{
	struct ipsp_compare *c = &n->compare;

	if (!c->part_due || c->part_offset >= c->encoded.len)
		return false;
	size_t left = c->encoded.len - c->part_offset;
	c->part_due = false;
	part->offset = c->part_offset;
	part->total = (uint32_t)c->encoded.len;
	part->bytes = c->encoded.data + c->part_offset;
	part->n = (uint16_t)(left > CONF_PART ? CONF_PART : left);
	return true;
}

void ipsp_compare_on_part(struct ipsp_node *n, const struct ipsp_conf_part *part)
{
	struct ipsp_compare *c = &n->compare;

	if (!c->asking || part->offset != c->theirs.len || part->total > CONF_MAX || part->n == 0)
		return;
	if (c->theirs.len == 0)
		c->total = part->total;
	if (part->total != c->total) { /* it has other pools since: these parts are not of one */
		ask_from_the_start(c);
		return;
	}
	ipsp_buf_put(&c->theirs, part->bytes, part->n);
	c->asked_at = IPSP_NEVER;
	if (c->theirs.failed)
		n->act->failed = true;
	else if (c->theirs.len >= part->total)
		compare_encoded(n);
}
