#include "base/ctlmsg.h"
#include "base/ident.h"
#include "ipsp.h"
#include <stdlib.h>
#include <string.h>

#define PROGRAM_BYTES 64
#define HA_BYTES      31
#define TEXTS	      8 /* at most, in one message */

struct ipsp_conn { /* invariant: in.data[done..] begins with the next frame */
	struct ipsp_buf in;
	size_t done; /* of in: pulled already */
	struct ipsp_buf out;
	size_t wrote;	       /* of out: taken by the socket */
	struct ipsp_buf texts; /* of the message last pulled, each with a NUL */
	bool ready;	       /* the daemon's HELLO has come */
	int err;	       /* sticks: nothing that comes after garbage means anything */
};

/* ---------------------------------------------------------------- addresses */

static struct ipsp_addr addr_of(const struct ipsp_address *address)
{
	struct ipsp_rd rd = ipsp_rd_of(address->bytes, sizeof(address->bytes));
	struct ipsp_addr addr;

	addr.hi = ipsp_rd_u64(&rd);
	addr.lo = ipsp_rd_u64(&rd);
	return addr;
}

static struct ipsp_address address_of(struct ipsp_addr addr)
{
	struct ipsp_address address;

	for (size_t i = 8; i-- > 0; addr.hi >>= 8, addr.lo >>= 8) {
		address.bytes[i] = (uint8_t)addr.hi;
		address.bytes[8 + i] = (uint8_t)addr.lo;
	}
	return address;
}

int ipsp_address_parse(const char *text, struct ipsp_address *address)
{
	struct ipsp_addr addr;
	int err = ipsp_addr_parse(text, &addr);

	if (!err)
		*address = address_of(addr);
	return err;
}

const char *ipsp_address_text(const struct ipsp_address *address, char *text, size_t size)
{
	return ipsp_addr_text(addr_of(address), text, size);
}

const char *ipsp_release_word(int reason)
{
	switch (reason) {
	case IPSP_RELEASE_HANDOFF:
		return "handoff";
	case IPSP_RELEASE_DUPLICATE:
		return "duplicate";
	case IPSP_RELEASE_TERMINATE:
		return "terminate";
	}
	return "unknown";
}

/* ---------------------------------------------------------------- life */

struct ipsp_conn *ipsp_conn_new(const char *program)
{
	struct ipsp_conn *conn = calloc(1, sizeof(*conn));
	struct ipsp_ctl_msg hello = {.type = IPSP_CTL_HELLO,
				     .magic = IPSP_CTL_MAGIC,
				     .min = IPSP_CTL_VERSION_MIN,
				     .max = IPSP_CTL_VERSION,
				     .program = ipsp_ctl_str(program)};

	if (!conn)
		return NULL;
	if (hello.program.n > PROGRAM_BYTES)
		hello.program.n = PROGRAM_BYTES;
	if (ipsp_ctl_put(&conn->out, &hello) != 0) {
		ipsp_conn_free(conn);
		return NULL;
	}
	return conn;
}

void ipsp_conn_free(struct ipsp_conn *conn)
{
	if (!conn)
		return;
	ipsp_buf_fini(&conn->in);
	ipsp_buf_fini(&conn->out);
	ipsp_buf_fini(&conn->texts);
	free(conn);
}

/* ---------------------------------------------------------------- bytes */

int ipsp_conn_feed(struct ipsp_conn *conn, const void *bytes, size_t n)
{
	ipsp_buf_drop(&conn->in, conn->done);
	conn->done = 0;
	ipsp_buf_put(&conn->in, bytes, n);
	if (!conn->in.failed)
		return 0;
	conn->in.failed = false; /* what was in it before is whole */
	return IPSP_ERR_NOMEM;
}

size_t ipsp_conn_output(const struct ipsp_conn *conn, const void **bytes)
{
	*bytes = conn->out.data ? conn->out.data + conn->wrote : NULL;
	return conn->out.len - conn->wrote;
}

void ipsp_conn_wrote(struct ipsp_conn *conn, size_t n)
{
	size_t left = conn->out.len - conn->wrote;

	conn->wrote += n < left ? n : left;
	if (n >= left) {
		ipsp_buf_clear(&conn->out);
		conn->wrote = 0;
	} else if (conn->wrote > conn->out.len / 2) { /* each byte is moved once, on the average */
		ipsp_buf_drop(&conn->out, conn->wrote);
		conn->wrote = 0;
	}
}

/* ---------------------------------------------------------------- messages in */

/* Says where a text will stand; the pointers are set when all are there and nothing moves any more.
 */
struct texts {
	const char **to[TEXTS];
	size_t at[TEXTS], n;
};

static void keep(struct ipsp_conn *conn, struct texts *texts, const char **to,
		 const struct ipsp_ctl_str *s)
{
	texts->to[texts->n] = to;
	texts->at[texts->n++] = conn->texts.len;
	ipsp_buf_put(&conn->texts, s->p, s->n);
	ipsp_buf_put_u8(&conn->texts, 0);
}

static int get_texts(struct ipsp_conn *conn, const struct ipsp_ctl_msg *in,
		     struct ipsp_conn_msg *msg)
{
	struct texts texts = {.n = 0};

	ipsp_buf_clear(&conn->texts);
	keep(conn, &texts, &msg->pool, &in->pool);
	keep(conn, &texts, &msg->subscriber, &in->subscriber);
	keep(conn, &texts, &msg->session, &in->session);
	keep(conn, &texts, &msg->context, &in->context);
	keep(conn, &texts, &msg->role, &in->role);
	keep(conn, &texts, &msg->state, &in->state);
	keep(conn, &texts, &msg->text, in->type == IPSP_CTL_HELLO ? &in->program : &in->text);
	if (conn->texts.failed)
		return IPSP_ERR_NOMEM;
	for (size_t i = 0; i < texts.n; i++)
		*texts.to[i] = (const char *)conn->texts.data + texts.at[i];
	return 0;
}

static enum ipsp_conn_type type_of(enum ipsp_ctl_type type)
{
	switch (type) {
	case IPSP_CTL_HELLO:
		return IPSP_CONN_READY;
	case IPSP_CTL_ANSWER:
		return IPSP_CONN_ANSWER;
	case IPSP_CTL_DONE:
		return IPSP_CONN_DONE;
	case IPSP_CTL_TEXT:
		return IPSP_CONN_JSON;
	case IPSP_CTL_SESSION:
		return IPSP_CONN_SESSION;
	case IPSP_CTL_EVENT:
		return IPSP_CONN_RELEASE;
	case IPSP_CTL_CANCELLED:
		return IPSP_CONN_CANCELLED;
	case IPSP_CTL_STATE:
		return IPSP_CONN_STATE;
	case IPSP_CTL_BYE:
		return IPSP_CONN_BYE;
	case IPSP_CTL_ATTACH: /* the rest is said to the daemon, never by it */
	case IPSP_CTL_REQUEST:
	case IPSP_CTL_RELEASE:
	case IPSP_CTL_RELEASED:
	case IPSP_CTL_LIST:
	case IPSP_CTL_COMMAND:
	case IPSP_CTL_SHOW:
	case IPSP_CTL_TYPES:
		break;
	}
	return 0;
}

static int check_order(struct ipsp_conn *conn, const struct ipsp_ctl_msg *in)
{
	int version;

	if (in->type == IPSP_CTL_BYE)
		return 0; /* the one thing that may stand where a HELLO should */
	if (conn->ready)
		return in->type == IPSP_CTL_HELLO || type_of(in->type) == 0 ? IPSP_ERR_FORMAT : 0;
	version = ipsp_ctl_version(in);
	conn->ready = version > 0;
	return version < 0 ? version : 0;
}

int ipsp_conn_next(struct ipsp_conn *conn, struct ipsp_conn_msg *msg)
{
	struct ipsp_ctl_msg in = {0}; /* what its frame has not is nothing */
	size_t used;
	int got;

	*msg = (struct ipsp_conn_msg){.pool = "",
				      .subscriber = "",
				      .session = "",
				      .context = "",
				      .role = "",
				      .state = "",
				      .text = ""};
	if (conn->err)
		return conn->err;
	if (conn->in.len == conn->done)
		return 0;
	got = ipsp_ctl_next(conn->in.data + conn->done, conn->in.len - conn->done, &used, &in);
	conn->done += used;
	if (got > 0) {
		int err = check_order(conn, &in);

		got = err ? err : 1;
	}
	if (got > 0 && get_texts(conn, &in, msg) != 0)
		got = IPSP_ERR_NOMEM;
	if (got <= 0) {
		conn->err = got;
		return got;
	}
	msg->type = type_of(in.type);
	msg->id = in.event ? in.event : in.id; /* no frame has both */
	msg->err = in.err;
	msg->address = address_of(in.addr);
	msg->plen = in.plen;
	msg->reason = (enum ipsp_release_reason)in.reason;
	msg->n_text = strlen(msg->text);
	return 1;
}

/* ---------------------------------------------------------------- messages out */

static bool name_ok(const struct ipsp_ctl_str *s, size_t min)
{
	return s->n >= min && ipsp_text_ok(s->p, s->n);
}

int ipsp_conn_attach(struct ipsp_conn *conn, uint64_t id, const char *context, const char *name)
{
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_ATTACH,
				   .id = id,
				   .context = ipsp_ctl_str(context),
				   .name = ipsp_ctl_str(name)};

	if (name && (!name_ok(&msg.name, 1) || msg.name.n > HA_BYTES))
		return IPSP_ERR_INVALID;
	return ipsp_ctl_put(&conn->out, &msg);
}

int ipsp_conn_request(struct ipsp_conn *conn, uint64_t id, const struct ipsp_conn_request *request)
{
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_REQUEST,
				   .id = id,
				   .subscriber = ipsp_ctl_str(request->subscriber),
				   .session = ipsp_ctl_str(request->session),
				   .pool = ipsp_ctl_str(request->pool),
				   .group = ipsp_ctl_str(request->group)};

	if (!name_ok(&msg.subscriber, 1) || !name_ok(&msg.session, 0))
		return IPSP_ERR_INVALID;
	if (request->address)
		msg.addr = addr_of(request->address);
	return ipsp_ctl_put(&conn->out, &msg);
}

/* Whose session it was goes into @msg, as far as it is said; the session goes behind the
 * subscriber. */
static int put_named(struct ipsp_conn *conn, struct ipsp_ctl_msg *msg, const char *subscriber,
		     const char *session)
{
	if (subscriber || session)
		msg->subscriber = ipsp_ctl_str(subscriber);
	if (session)
		msg->session = ipsp_ctl_str(session);
	if ((subscriber && !name_ok(&msg->subscriber, 1)) ||
	    (session && !name_ok(&msg->session, 0)))
		return IPSP_ERR_INVALID;
	return ipsp_ctl_put(&conn->out, msg);
}

int ipsp_conn_release(struct ipsp_conn *conn, uint64_t id, const struct ipsp_address *address)
{
	return ipsp_conn_release_session(conn, id, address, NULL, NULL);
}

int ipsp_conn_release_session(struct ipsp_conn *conn, uint64_t id,
			      const struct ipsp_address *address, const char *subscriber,
			      const char *session)
{
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_RELEASE, .id = id, .addr = addr_of(address)};

	return put_named(conn, &msg, subscriber, session);
}

int ipsp_conn_released(struct ipsp_conn *conn, const struct ipsp_address *address)
{
	return ipsp_ctl_put(&conn->out, &(struct ipsp_ctl_msg){.type = IPSP_CTL_RELEASED,
							       .addr = addr_of(address)});
}

int ipsp_conn_released_event(struct ipsp_conn *conn, uint64_t event,
			     const struct ipsp_address *address)
{
	return ipsp_ctl_put(&conn->out, &(struct ipsp_ctl_msg){.type = IPSP_CTL_RELEASED,
							       .addr = addr_of(address),
							       .event = event});
}

int ipsp_conn_released_session(struct ipsp_conn *conn, uint64_t event,
			       const struct ipsp_address *address, const char *subscriber,
			       const char *session)
{
	struct ipsp_ctl_msg msg = {
		.type = IPSP_CTL_RELEASED, .event = event, .addr = addr_of(address)};

	return put_named(conn, &msg, subscriber, session);
}

int ipsp_conn_list(struct ipsp_conn *conn, uint64_t id)
{
	return ipsp_ctl_put(&conn->out, &(struct ipsp_ctl_msg){.type = IPSP_CTL_LIST, .id = id});
}

int ipsp_conn_command(struct ipsp_conn *conn, uint64_t id, const char *context, const char *name,
		      const char *argument, unsigned flags)
{
	return ipsp_ctl_put(
		&conn->out,
		&(struct ipsp_ctl_msg){.type = IPSP_CTL_COMMAND,
				       .id = id,
				       .flags = flags & IPSP_COMMAND_FORCE ? IPSP_CTL_FORCE : 0,
				       .context = ipsp_ctl_str(context),
				       .name = ipsp_ctl_str(name),
				       .argument = ipsp_ctl_str(argument)});
}

int ipsp_conn_force_release(struct ipsp_conn *conn, uint64_t id, const char *context,
			    const struct ipsp_address *address, const char *subscriber,
			    const char *session)
{
	char text[IPSP_ADDRESS_TEXT];
	struct ipsp_ctl_msg msg = {
		.type = IPSP_CTL_COMMAND,
		.id = id,
		.flags = IPSP_CTL_FORCE,
		.context = ipsp_ctl_str(context),
		.name = ipsp_ctl_str("release"),
		.argument = ipsp_ctl_str(ipsp_address_text(address, text, sizeof(text)))};

	return put_named(conn, &msg, subscriber, session);
}

int ipsp_conn_show(struct ipsp_conn *conn, uint64_t id, const char *context, const char *name,
		   const struct ipsp_conn_filter *filter)
{
	struct ipsp_ctl_msg msg = {.type = IPSP_CTL_SHOW,
				   .id = id,
				   .context = ipsp_ctl_str(context),
				   .name = ipsp_ctl_str(name)};

	if (filter) {
		msg.n = filter->n;
		msg.pool = ipsp_ctl_str(filter->pool);
		msg.subscriber = ipsp_ctl_str(filter->subscriber);
	}
	return ipsp_ctl_put(&conn->out, &msg);
}

int ipsp_conn_show_sessions(struct ipsp_conn *conn, uint64_t id, const char *context,
			    const struct ipsp_conn_sessions *which)
{
	struct ipsp_ctl_msg msg = {
		.type = IPSP_CTL_SHOW,
		.id = id,
		.n = which->limit,
		.context = ipsp_ctl_str(context),
		.name = ipsp_ctl_str(which->count ? "session-count" : "sessions"),
		.pool = ipsp_ctl_str(which->pool),
		.subscriber = ipsp_ctl_str(which->subscriber)};

	if (which->address || which->state) {
		msg.argument = ipsp_ctl_str(which->address);
		msg.state = ipsp_ctl_str(which->state);
	}
	return ipsp_ctl_put(&conn->out, &msg);
}
