#include "base/ctlmsg.h"
#include <endian.h>
#include <string.h>

#define LAYOUT_MAX 8 /* fields of a frame, and the END */

/* The one place that says how a field is written, and in which order a frame has its fields. */

enum form { FORM_U8, FORM_U16, FORM_U32, FORM_U64, FORM_ADDR, FORM_STR8, FORM_STR16 };

enum field {
	END,
	ID,
	ADDR,
	ERR,
	NUMBER,
	MAGIC,
	MIN,
	MAX,
	FLAGS,
	PLEN,
	REASON,
	PROGRAM,
	CONTEXT,
	NAME,
	ARGUMENT,
	SUBSCRIBER,
	SESSION,
	POOL,
	GROUP,
	ROLE,
	STATE,
	TEXT,
	FIELDS
};

#define FIELD(form, member)                                                                        \
	{                                                                                          \
		form, offsetof(struct ipsp_ctl_msg, member)                                        \
	}

static const struct {
	enum form form;
	size_t offset; /* in struct ipsp_ctl_msg */
} fields[FIELDS] = {
	[ID] = FIELD(FORM_U64, id),
	[ADDR] = FIELD(FORM_ADDR, addr),
	[ERR] = FIELD(FORM_U32, err),
	[NUMBER] = FIELD(FORM_U32, n),
	[MAGIC] = FIELD(FORM_U32, magic),
	[MIN] = FIELD(FORM_U16, min),
	[MAX] = FIELD(FORM_U16, max),
	[FLAGS] = FIELD(FORM_U8, flags),
	[PLEN] = FIELD(FORM_U8, plen),
	[REASON] = FIELD(FORM_U8, reason),
	[PROGRAM] = FIELD(FORM_STR8, program),
	[CONTEXT] = FIELD(FORM_STR8, context),
	[NAME] = FIELD(FORM_STR8, name),
	[ARGUMENT] = FIELD(FORM_STR8, argument),
	[SUBSCRIBER] = FIELD(FORM_STR8, subscriber),
	[SESSION] = FIELD(FORM_STR8, session),
	[POOL] = FIELD(FORM_STR8, pool),
	[GROUP] = FIELD(FORM_STR8, group),
	[ROLE] = FIELD(FORM_STR8, role),
	[STATE] = FIELD(FORM_STR8, state),
	[TEXT] = FIELD(FORM_STR16, text),
};

static const uint8_t layouts[IPSP_CTL_TYPES][LAYOUT_MAX] = {
	/* each ends with END, which is 0 */
	[IPSP_CTL_HELLO] = {MAGIC, MIN, MAX, PROGRAM},
	[IPSP_CTL_ATTACH] = {ID, CONTEXT, NAME},
	[IPSP_CTL_REQUEST] = {ID, ADDR, SUBSCRIBER, SESSION, POOL, GROUP},
	[IPSP_CTL_RELEASE] = {ID, ADDR},
	[IPSP_CTL_RELEASED] = {ADDR},
	[IPSP_CTL_LIST] = {ID},
	[IPSP_CTL_COMMAND] = {ID, FLAGS, CONTEXT, NAME, ARGUMENT},
	[IPSP_CTL_SHOW] = {ID, NUMBER, CONTEXT, NAME, POOL, SUBSCRIBER},
	[IPSP_CTL_ANSWER] = {ID, ERR, ADDR, PLEN, POOL},
	[IPSP_CTL_DONE] = {ID, ERR, TEXT},
	[IPSP_CTL_TEXT] = {ID, TEXT},
	[IPSP_CTL_SESSION] = {ID, ADDR, PLEN, POOL, SUBSCRIBER, SESSION},
	[IPSP_CTL_EVENT] = {ADDR, REASON, SUBSCRIBER, SESSION},
	[IPSP_CTL_CANCELLED] = {ADDR},
	[IPSP_CTL_STATE] = {CONTEXT, ROLE, STATE},
	[IPSP_CTL_BYE] = {ERR, TEXT},
};

struct ipsp_ctl_str ipsp_ctl_str(const char *s)
{
	return s ? (struct ipsp_ctl_str){s, strlen(s)} : (struct ipsp_ctl_str){"", 0};
}

static bool has_nul(const struct ipsp_ctl_str *s)
{
	return s->n > 0 && memchr(s->p, '\0', s->n);
}

/* ---------------------------------------------------------------- writing */

/*
 * These two directions are most of what the control socket costs a request: so the room is looked
 * at once for the whole frame, and each field is walked once.
 */
#define ROOM (IPSP_CTL_HEAD + 1 + LAYOUT_MAX * 256) /* of any frame, but for its .text */

static inline uint8_t *put_u16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put_bytes(uint8_t *p, const struct ipsp_ctl_str *s)
{
	if (s->n > 0)
		memcpy(p, s->p, s->n);
	return p + s->n;
}

/* Where the next field goes; NULL: this one has a text that can't be written. */
static inline uint8_t *put_field(uint8_t *to, enum form form, const void *p)
{
	const struct ipsp_ctl_str *s = p;
	const struct ipsp_addr *addr = p;

	switch (form) {
	case FORM_U8:
		*to = *(const uint8_t *)p;
		return to + 1;
	case FORM_U16:
		return put_u16(to, *(const uint16_t *)p);
	case FORM_U32:
		return put_u32(to, *(const uint32_t *)p);
	case FORM_U64:
		return put_u64(to, *(const uint64_t *)p);
	case FORM_ADDR:
		return put_u64(put_u64(to, addr->hi), addr->lo);
	case FORM_STR8:
		if (s->n > UINT8_MAX || has_nul(s))
			return NULL;
		*to = (uint8_t)s->n;
		return put_bytes(to + 1, s);
	case FORM_STR16: /* only .text: its length was looked at before */
		return put_bytes(put_u16(to, (uint16_t)s->n), s);
	}
	return NULL;
}

int ipsp_ctl_put(struct ipsp_buf *buf, const struct ipsp_ctl_msg *msg)
{
	uint8_t *frame, *p;

	if ((unsigned)msg->type >= IPSP_CTL_TYPES || layouts[msg->type][0] == END ||
	    msg->text.n > IPSP_CTL_TEXT_MAX)
		return IPSP_ERR_INVALID;
	frame = ipsp_buf_room(buf, ROOM + msg->text.n);
	if (!frame) {
		buf->failed = false; /* what was in it before is whole */
		return IPSP_ERR_NOMEM;
	}
	p = frame + IPSP_CTL_HEAD;
	*p++ = (uint8_t)msg->type;
	for (const uint8_t *f = layouts[msg->type]; *f != END; f++) {
		p = put_field(p, fields[*f].form, (const char *)msg + fields[*f].offset);
		if (!p)
			return IPSP_ERR_INVALID;
	}
	put_u32(frame, (uint32_t)(p - frame - IPSP_CTL_HEAD));
	buf->len += (size_t)(p - frame);
	return 0;
}

/* ---------------------------------------------------------------- reading */

static inline uint16_t get_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* The bytes that every field of a form has: those of a text's length, or all. */
static const uint8_t fixed[] = {[FORM_U8] = 1,	  [FORM_U16] = 2,  [FORM_U32] = 4,  [FORM_U64] = 8,
				[FORM_ADDR] = 16, [FORM_STR8] = 1, [FORM_STR16] = 2};

/* Reads one field of what lies between @p and @end; where it ended, NULL when that is too short. */
static inline const uint8_t *get_field(const uint8_t *p, const uint8_t *end, enum form form,
				       void *to)
{
	struct ipsp_ctl_str *s = to;
	struct ipsp_addr *addr = to;

	if ((size_t)(end - p) < fixed[form])
		return NULL;
	switch (form) {
	case FORM_U8:
		*(uint8_t *)to = *p;
		return p + 1;
	case FORM_U16:
		*(uint16_t *)to = get_u16(p);
		return p + 2;
	case FORM_U32:
		*(uint32_t *)to = get_u32(p);
		return p + 4;
	case FORM_U64:
		*(uint64_t *)to = get_u64(p);
		return p + 8;
	case FORM_ADDR:
		addr->hi = get_u64(p);
		addr->lo = get_u64(p + 8);
		return p + 16;
	case FORM_STR8:
		*s = (struct ipsp_ctl_str){(const char *)p + 1, *p};
		break;
	case FORM_STR16:
		*s = (struct ipsp_ctl_str){(const char *)p + 2, get_u16(p)};
		break;
	}
	p += fixed[form];
	if ((size_t)(end - p) < s->n || (form == FORM_STR8 && has_nul(s)))
		return NULL;
	return p + s->n;
}

/* 1, 0 for a type that is not known, IPSP_ERR_FORMAT */
static int get_frame(const uint8_t *p, const uint8_t *end, struct ipsp_ctl_msg *msg)
{
	uint8_t type = *p++;

	if (type >= IPSP_CTL_TYPES || layouts[type][0] == END)
		return 0;
	*msg = (struct ipsp_ctl_msg){.type = (enum ipsp_ctl_type)type};
	for (const uint8_t *f = layouts[type]; *f != END; f++) {
		p = get_field(p, end, fields[*f].form, (char *)msg + fields[*f].offset);
		if (!p)
			return IPSP_ERR_FORMAT;
	}
	return 1;
}

int ipsp_ctl_next(const uint8_t *bytes, size_t n, size_t *used, struct ipsp_ctl_msg *msg)
{
	*used = 0;
	while (n - *used >= IPSP_CTL_HEAD) {
		const uint8_t *frame = bytes + *used + IPSP_CTL_HEAD;
		size_t length = get_u32(bytes + *used);
		int got;

		if (length == 0 || length > IPSP_CTL_FRAME_MAX)
			return IPSP_ERR_FORMAT; /* before the rest has come: garbage is not
						   collected */
		if (length > n - *used - IPSP_CTL_HEAD)
			return 0;
		got = get_frame(frame, frame + length, msg);
		if (got < 0)
			return got;
		*used += IPSP_CTL_HEAD + length;
		if (got > 0)
			return 1;
	}
	return 0;
}

int ipsp_ctl_version(const struct ipsp_ctl_msg *hello)
{
	if (hello->type != IPSP_CTL_HELLO || hello->magic != IPSP_CTL_MAGIC)
		return IPSP_ERR_FORMAT;
	if (hello->min > IPSP_CTL_VERSION || hello->max < IPSP_CTL_VERSION_MIN ||
	    hello->min > hello->max)
		return IPSP_ERR_VERSION;
	return hello->max < IPSP_CTL_VERSION ? hello->max : IPSP_CTL_VERSION;
}
