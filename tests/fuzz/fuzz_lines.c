/*
 * ipspctl agent: lines of JSON from a script, and a daemon that answers what it likes. Each line
 * out is a JSON object, what goes to the daemon is whole frames, and each id that was taken is
 * answered once.
 *
 * The input: pieces that end with a byte 0xff. One that begins with '!' is what the daemon says, as
 * bytes; with '?', how it answers what is open; any other comes from the script.
 */
#include "base/ctlmsg.h"
#include "cli/agent.c" /* the functions are its own */ // NOLINT(bugprone-suspicious-include)
#include "fuzz.h"
#include "input.h"

static size_t n_lines;

void cli_lines_print(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	json_t *again = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	must(json_is_object(value) && json_is_object(again));
	must(json_object_get(value, "id") || json_object_get(value, "event"));
	must(!strchr(text, '\n') && json_equal(value, again));
	json_decref(again);
	free(text);
	json_decref(value);
	n_lines++;
}

size_t cli_lines_unread(void)
{
	return 0;
}

bool cli_lines_write(bool wait)
{
	(void)wait;
	return true;
}

void cli_lines_free(void)
{
}

void cli_say(const char *before, const char *text)
{
	must(before && text);
}

int cli_connect(struct cli *cli)
{
	(void)cli;
	return CLI_UNREACHABLE;
}

int cli_failed(struct cli *cli, int err, const struct ipsp_conn_msg *msg)
{
	(void)cli;
	(void)err;
	(void)msg;
	return CLI_REFUSED;
}

static bool broken; /* the daemon said what is no frame: the agent ends */
static bool raw; /* ... or perhaps the beginning of one, so that its answers are not read as such */

static void hear(struct agent *agent, const void *bytes, size_t n)
{
	struct ipsp_conn_msg msg;
	int got = 0;

	must(ipsp_conn_feed(agent->conn, bytes, n) == 0);
	while (!broken && (got = ipsp_conn_next(agent->conn, &msg)) > 0)
		say_message(agent, &msg);
	broken = broken || got < 0;
}

static void reply(struct agent *agent, const struct ipsp_ctl_msg *msg)
{
	struct ipsp_ctl_msg plain = *msg;
	struct ipsp_buf out = {0};

	if (ipsp_ctl_put(&out, msg) != 0) { /* a NUL in a text, which no daemon says */
		plain.text = plain.pool = plain.subscriber = (struct ipsp_ctl_str){"", 0};
		must(ipsp_ctl_put(&out, &plain) == 0);
	}
	hear(agent, out.data, out.len);
	ipsp_buf_fini(&out);
}

static struct ipsp_ctl_str text_of(struct input *in)
{
	size_t n;
	const uint8_t *p = in_bytes(in, in_u8(in) % 16, &n);

	return (struct ipsp_ctl_str){(const char *)p, n};
}

/* To one that it has asked: yes, no, a session first, or an event. */
static void answer(struct agent *agent, uint64_t id, bool is_request, struct input *in)
{
	const uint8_t what = in_u8(in);
	struct ipsp_ctl_msg msg = {.type = is_request ? IPSP_CTL_ANSWER : IPSP_CTL_DONE,
				   .id = id,
				   .addr = ipsp_addr_v4(0x0a010000U + what),
				   .plen = 32};

	if (what & 1)
		msg.err = -(int32_t)(in_u8(in) % 32);
	if (what & 2)
		msg.text = msg.pool = text_of(in);
	if (what & 4 && !is_request) {
		struct ipsp_ctl_msg session = msg;
		session.type = IPSP_CTL_SESSION;
		session.subscriber = text_of(in);
		reply(agent, &session);
	}
	if (what & 8) {
		struct ipsp_ctl_msg event = msg;
		event.type = what & 16 ? IPSP_CTL_EVENT : IPSP_CTL_CANCELLED;
		event.event = what >> 4;
		event.subscriber = text_of(in);
		reply(agent, &event);
	}
	reply(agent, &msg);
}

/* What it has said to the daemon: whole frames. */
static void answer_all(struct agent *agent, struct input *in)
{
	const void *out;
	size_t used = 0;
	const size_t n = ipsp_conn_output(agent->conn, &out);
	uint8_t *bytes = malloc(n + 1); /* answers make no output, but the next piece does */

	must(bytes != NULL);
	if (n > 0)
		memcpy(bytes, out, n);
	ipsp_conn_wrote(agent->conn, n);
	for (size_t at = 0; at < n; at += used) {
		struct ipsp_ctl_msg msg;

		must(ipsp_ctl_next(bytes + at, n - at, &used, &msg) == 1 && used > 0);
		if (!broken && (msg.type == IPSP_CTL_REQUEST || msg.type == IPSP_CTL_RELEASE ||
				msg.type == IPSP_CTL_LIST))
			answer(agent, msg.id, msg.type == IPSP_CTL_REQUEST, in);
	}
	free(bytes);
}

static void from_script(struct agent *agent, const uint8_t *p, size_t n)
{
	while (n > 0) { /* as read_input, which reads what there is room for */
		const size_t room = sizeof(agent->line) - 1 - agent->n_line;
		const size_t some = n < room ? n : room;

		memcpy(agent->line + agent->n_line, p, some);
		agent->n_line += some;
		p += some;
		n -= some;
		take_lines(agent);
	}
}

static void begin(struct agent *agent)
{
	const struct ipsp_ctl_msg hello = {.type = IPSP_CTL_HELLO,
					   .magic = IPSP_CTL_MAGIC,
					   .min = 1,
					   .max = IPSP_CTL_VERSION,
					   .program = ipsp_ctl_str("ipspd")};

	agent->conn = ipsp_conn_new("ipspctl");
	must(agent->conn != NULL);
	reply(agent, &hello);
	must(ipsp_conn_attach(agent->conn, UINT64_MAX, NULL, "agent") == 0);
}

static void end(struct agent *agent)
{
	struct input none = {NULL, 0};

	agent->line[agent->n_line++] = '\n';
	take_lines(agent);
	answer_all(agent, &none);
	must(broken || raw || agent->n_open == 0);
	for (size_t i = 0; i < agent->n_slots; i++) {
		must(broken || raw || !agent->slots[i].id);
		if (agent->slots[i].id)
			slot_free(agent, i);
	}
	must(agent->n_open == 0);
	free(agent->slots);
	ipsp_conn_free(agent->conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct agent agent;
	static struct cli cli;
	const size_t kept = offsetof(struct agent, line); /* a megabyte that needs no zeros */

	memset(&agent, 0, kept);
	agent.n_line = 0;
	agent.too_long = agent.ended = broken = raw = false;
	agent.cli = &cli;
	begin(&agent);
	while (n > 0) {
		const uint8_t *stop = memchr(data, 0xff, n);
		const size_t piece = stop ? (size_t)(stop - data) : n;
		struct input in = {data + 1, piece > 0 ? piece - 1 : 0};

		if (piece > 0 && data[0] == '!') {
			raw = true;
			hear(&agent, in.p, in.n);
		} else if (piece > 0 && data[0] == '?') {
			answer_all(&agent, &in);
		} else {
			from_script(&agent, data, piece);
		}
		data += stop ? piece + 1 : piece;
		n -= stop ? piece + 1 : piece;
	}
	end(&agent);
	return 0;
}
