/* words - what a trace says: acts, datagrams, and where a side stands. */
#include "core/seal.h"
#include "core/wire.h"
#include "tiny.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char text[600];
static size_t n_text;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text + n_text, sizeof(text) - n_text, format, ap);
	va_end(ap);
	if (n > 0)
		n_text += (size_t)n < sizeof(text) - n_text ? (size_t)n : sizeof(text) - n_text - 1;
}

static void say_item(const uint8_t *bytes, size_t n)
{
	static const char *const types[] = {"SKIPPED", "GIVE", "REPORT", "DROP", "DROPPED"};
	struct ipsp_set_entry e;
	struct ipsp_set_iter it;
	struct ipsp_item item;

	if (ipsp_item_parse(bytes, n, &item) != 0)
		return;
	say(", %s %llu", types[item.type], (unsigned long long)item.number);
	for (ipsp_set_begin(&it, &item); ipsp_set_next(&it, &e);) {
		for (uint32_t i = e.start; i - e.start < e.count; i++)
			say(" %c", 'A' + (int)i);
	}
}

static void say_message(const struct ipsp_msg *m)
{
	switch (m->type) {
	case IPSP_MSG_HELLO:
		say(", hello %u (%s, epoch %llu%s%s, heard %u, promised %u)",
		    m->u.hello.number % 1000,
		    m->u.hello.flags & IPSP_HF_PRIMARY ? "primary" : "secondary",
		    (unsigned long long)m->u.hello.epoch,
		    m->u.hello.flags & IPSP_HF_LICENCE ? ", licence" : "",
		    m->u.hello.flags & IPSP_HF_LOST ? ", lost" : "", m->u.hello.heard % 1000,
		    m->u.hello.promised % 1000);
		break;
	case IPSP_MSG_ITEM:
		say_item(m->u.item.bytes, m->u.item.n);
		break;
	case IPSP_MSG_ACK:
		say(", ack %llu", (unsigned long long)m->u.ack.number);
		break;
	case IPSP_MSG_REQUEST:
		if (m->u.request.at_pool == IPSP_NO_POOL)
			say(", request for any");
		else
			say(", request for %c", 'A' + (int)m->u.request.at_index);
		break;
	case IPSP_MSG_REFUSE:
		say(", refusal %d", m->u.refuse.err);
		break;
	case IPSP_MSG_TAKEOVER:
		say(", asks for the role");
		break;
	case IPSP_MSG_CANCEL:
		say(", cancel");
		break;
	case IPSP_MSG_RENEW:
		say(", half of new keys%s", m->u.renew.has ? ", has the other" : "");
		break;
	case IPSP_MSG_CONF_ASK:
	case IPSP_MSG_CONF_PART:
	case IPSP_MSG_TYPES:
		say(", pools");
		break;
	}
}

static void say_dgram(const struct tiny *w, struct act act)
{
	const struct flight *f = &w->to[act.side];
	const struct dgram *d = act.arg < f->n ? f->dgrams[act.arg] : NULL;
	struct ipsp_rd rd;
	struct ipsp_msg m;

	say("%c hears%s", "PS"[act.side], act.kind == ACT_REPEAT ? " (and once more, later)" : "");
	if (!d)
		return;
	if (d->bytes[3] == IPSP_DGRAM_SHAKE)
		say(" a handshake");
	else if (d->n_plain == 0)
		say(" an empty datagram");
	rd = ipsp_rd_of(d->bytes + d->n, d->n_plain);
	while (ipsp_msg_next(&rd, &m) > 0)
		say_message(&m);
	if (d->again)
		say(", which came before");
	if (act.arg > 0)
		say(" [number %u on its way]", act.arg + 1U);
}

const char *tiny_words(const struct tiny *w, struct act act)
{
	static const char *const cuts[] = {"", "what leads to P", "what leads to S", "both ways"};
	char side = "PS"[act.side & 1], addr = (char)('A' + act.arg);

	n_text = 0;
	text[0] = '\0';
	switch ((enum act_kind)act.kind) {
	case ACT_DELIVER:
	case ACT_REPEAT:
		say_dgram(w, act);
		break;
	case ACT_FLUSH:
		say("%c: a flush is done", side);
		break;
	case ACT_REQUEST:
		if (act.arg == 0)
			say("HA at %c requests any address", side);
		else
			say("HA at %c requests %c", side, addr - 1);
		break;
	case ACT_RELEASE:
		say("HA at %c: the session on %c ends", side, addr);
		break;
	case ACT_ANSWER:
		say("HA at %c has released %c", side, addr);
		break;
	case ACT_KILL:
		say("%c: the process is killed", side);
		break;
	case ACT_POWER:
		say("%c: the host loses power, and what was not flushed", side);
		break;
	case ACT_WIPE:
		say("%c: the disk is lost", side);
		break;
	case ACT_ROLL:
		say("%c: the disk is an earlier one", side);
		break;
	case ACT_START:
		say("%c starts", side);
		break;
	case ACT_CUT:
		say("cut: %s", cuts[act.arg & 3]);
		break;
	case ACT_HEAL:
		say("the cut is healed");
		break;
	case ACT_TICK:
		say("a hello interval passes");
		break;
	case ACT_WAIT:
		say("half a dead interval passes");
		break;
	case ACT_ROUND:
		say("a hello interval in which everything arrives");
		break;
	case ACT_DRAIN:
		say("%c: drain", side);
		break;
	case ACT_UNDRAIN:
		say("%c: undrain", side);
		break;
	case ACT_TAKEOVER:
		say("%c: takeover", side);
		break;
	case ACT_LEAVE:
		say("%c: no pool-share-protocol", side);
		break;
	case ACT_ENABLE:
		say("%c: reload", side);
		break;
	case ACT_KINDS:
		break;
	}
	return text;
}

const char *tiny_stand(const struct tiny *w, unsigned side)
{
	static const char owns[] = "+-~", uses[] = ".uhq";
	const struct side *s = &w->sides[side];
	struct ipsp_status st;

	n_text = 0;
	if (!s->node) {
		say("%c no process", s->letter);
		return text;
	}
	ipsp_node_status(s->node, w->now, &st);
	say("%c %7.3f %s %s, epoch %llu, sent %llu acked %llu applied %llu%s%s;", s->letter,
	    (double)w->now / 1000, ipsp_role_word(st.role), ipsp_state_word(st.state),
	    (unsigned long long)st.epoch, (unsigned long long)st.sent, (unsigned long long)st.acked,
	    (unsigned long long)st.applied, st.serving ? ", serves" : "",
	    s->disk.flushing ? ", flushes" : "");
	for (unsigned a = 0; a < ADDRS; a++) {
		const struct cell *c = &s->cells[a];

		say(" %c%c%c", 'A' + (int)a, owns[c->own], uses[c->use]);
		if (c->sub)
			say("%u", c->sub);
		if (s->ha.sessions[a])
			say(" (HA: u%u%s)", s->ha.sessions[a], s->ha.asked[a] ? ", asked" : "");
	}
	say("; %u to it%s", w->to[side].n, w->to[side].cut ? ", cut" : "");
	return text;
}
