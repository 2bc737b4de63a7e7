/*
 * agent - an HA for scripts: JSON lines on standard input become requests, what the daemon says
 * becomes JSON lines on standard output. Ids are whatever JSON value the script likes: each open
 * one has a slot here, and the slot's number is the id on the wire.
 */
#include "cli/cli.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES (1u << 20)

struct slot {
	json_t *id;	  /* NULL: free */
	json_t *sessions; /* of a list, until it is complete */
};

struct agent {
	struct cli *cli;
	struct ipsp_conn *conn; /* borrowed from cli->call */
	struct slot *slots;
	size_t n_slots, n_open, next; /* next: where to look for a free one first */
	char line[LINE_BYTES];
	size_t n_line;
	bool too_long; /* the rest of this line is passed over */
	bool ended;    /* no more input */
	bool no_room;  /* what the daemon said is not all taken: too much is unread */
};

/* ---------------------------------------------------------------- slots */

static bool slot_new(struct agent *agent, const json_t *id, uint64_t *number)
{
	size_t i;

	if (agent->n_open == agent->n_slots) {
		size_t n = agent->n_slots ? agent->n_slots * 2 : 64;
		struct slot *slots = realloc(agent->slots, n * sizeof(*slots));

		if (!slots)
			return false;
		memset(slots + agent->n_slots, 0, (n - agent->n_slots) * sizeof(*slots));
		agent->next = agent->n_slots;
		agent->slots = slots;
		agent->n_slots = n;
	}
	for (i = agent->next; agent->slots[i].id; i = (i + 1) % agent->n_slots)
		;
	agent->next = (i + 1) % agent->n_slots;
	agent->slots[i].id = json_deep_copy(id);
	if (!agent->slots[i].id)
		return false;
	agent->n_open++;
	*number = i;
	return true;
}

static void slot_free(struct agent *agent, uint64_t number)
{
	json_decref(agent->slots[number].id);
	json_decref(agent->slots[number].sessions);
	agent->slots[number] = (struct slot){NULL, NULL};
	agent->n_open--;
}

/* ---------------------------------------------------------------- answers */

/* Prints @rest with the id in front of it; takes over @rest. */
static void say(const json_t *id, json_t *rest)
{
	json_t *line = json_object();

	json_object_set_new(line, "id", id ? json_deep_copy(id) : json_null());
	json_object_update(line, rest);
	json_decref(rest);
	cli_lines_print(line);
}

static void say_invalid(const json_t *id, const char *message)
{
	say(id, cli_json_failed(IPSP_ERR_INVALID, message));
}

static void say_answer(struct agent *agent, const struct ipsp_conn_msg *msg)
{
	struct slot *slot;
	json_t *rest;

	if (msg->id >= agent->n_slots || !agent->slots[msg->id].id)
		return;
	slot = &agent->slots[msg->id];
	if (msg->type == IPSP_CONN_ANSWER)
		rest = cli_json_answer(msg);
	else if (msg->err)
		rest = cli_json_failed(msg->err, msg->text);
	else
		rest = json_pack("{s:b}", "ok", 1);
	if (!msg->err && slot->sessions)
		json_object_set(rest, "sessions", slot->sessions);
	say(slot->id, rest);
	slot_free(agent, msg->id);
}

static void add_session(struct agent *agent, const struct ipsp_conn_msg *msg)
{
	char text[IPSP_ADDRESS_TEXT];

	if (msg->id >= agent->n_slots || !agent->slots[msg->id].sessions)
		return;
	ipsp_address_text(&msg->address, text, sizeof(text));
	json_array_append_new(agent->slots[msg->id].sessions,
			      json_pack("{s:s, s:o, s:o, s:o}", "address", text, "pool",
					cli_json_text(msg->pool), "subscriber",
					cli_json_text(msg->subscriber), "session",
					cli_json_text(msg->session)));
}

/* With the number of the event, which a daemon of the first version doesn't say. */
static void say_event(const struct ipsp_conn_msg *msg, json_t *line)
{
	if (msg->id != 0)
		json_object_set_new(line, "number", json_integer((json_int_t)msg->id));
	cli_lines_print(line);
}

static void say_message(void *arg, const struct ipsp_conn_msg *msg)
{
	struct agent *agent = arg;
	char text[IPSP_ADDRESS_TEXT];

	ipsp_address_text(&msg->address, text, sizeof(text));
	switch (msg->type) {
	case IPSP_CONN_ANSWER:
	case IPSP_CONN_DONE:
		say_answer(agent, msg);
		break;
	case IPSP_CONN_SESSION:
		add_session(agent, msg);
		break;
	case IPSP_CONN_RELEASE:
		say_event(msg, json_pack("{s:s, s:s, s:o, s:o, s:s}", "event", "release", "address",
					 text, "subscriber", cli_json_text(msg->subscriber),
					 "session", cli_json_text(msg->session), "reason",
					 ipsp_release_word((int)msg->reason)));
		break;
	case IPSP_CONN_CANCELLED:
		say_event(msg,
			  json_pack("{s:s, s:s}", "event", "release-cancelled", "address", text));
		break;
	case IPSP_CONN_STATE:
		cli_lines_print(json_pack("{s:s, s:o, s:o, s:o}", "event", "state", "context",
					  cli_json_text(msg->context), "role",
					  cli_json_text(msg->role), "state",
					  cli_json_text(msg->state)));
		break;
	case IPSP_CONN_BYE:
		cli_say("", msg->text);
		break;
	case IPSP_CONN_READY:
	case IPSP_CONN_JSON:
		break;
	}
}

/* ---------------------------------------------------------------- lines in */

/* A member that is text, NULL where it is not given (or null); false: it is something else. */
static bool get_text(const json_t *line, const char *key, const char **text)
{
	const json_t *value = json_object_get(line, key);

	*text = json_string_value(value);
	return *text || !value || json_is_null(value);
}

static bool get_address(const json_t *line, struct ipsp_address *address, bool *given)
{
	const char *text;

	if (!get_text(line, "address", &text))
		return false;
	*given = text != NULL;
	return !text || ipsp_address_parse(text, address) == 0;
}

/* What queueing gave: where nothing was queued, nothing will answer. */
static void queued(struct agent *agent, uint64_t number, int err, const char *message)
{
	if (!err)
		return;
	say(agent->slots[number].id,
	    cli_json_failed(err, err == IPSP_ERR_INVALID ? message : NULL));
	slot_free(agent, number);
}

static void take_request(struct agent *agent, const json_t *line, uint64_t number)
{
	struct ipsp_conn_request request = {0};
	struct ipsp_address address;
	bool given = false;
	const char *wrong = NULL;
	int err = IPSP_ERR_INVALID;

	if (!get_text(line, "subscriber", &request.subscriber) || !request.subscriber)
		wrong = "subscriber is needed, and is text";
	else if (!get_text(line, "session", &request.session))
		wrong = "session is text, or left out";
	else if (!get_text(line, "pool", &request.pool))
		wrong = "pool is text, or left out";
	else if (!get_text(line, "group", &request.group))
		wrong = "group is text, or left out";
	else if (!get_address(line, &address, &given))
		wrong = "address is an address as text, or left out";
	if (!wrong) {
		request.address = given ? &address : NULL;
		err = ipsp_conn_request(agent->conn, number, &request);
	}
	queued(agent, number, err,
	       wrong ? wrong
		     : "a subscriber has 1 to 253 bytes, a session 253, a pool or group 255 at "
		       "most, "
		       "none of them control characters");
}

/* Whose session a release is for, as far as the line says it. */
static bool get_named(const json_t *line, const char **subscriber, const char **session)
{
	return get_text(line, "subscriber", subscriber) && get_text(line, "session", session);
}

static void take_release(struct agent *agent, const json_t *line, uint64_t number)
{
	const char *subscriber, *session;
	struct ipsp_address address;
	bool given = false;
	int err = IPSP_ERR_INVALID;

	if (get_address(line, &address, &given) && given && get_named(line, &subscriber, &session))
		err = ipsp_conn_release_session(agent->conn, number, &address, subscriber, session);
	queued(agent, number, err,
	       "a release has the address of a session, and may name its subscriber and session");
}

static void take_list(struct agent *agent, uint64_t number)
{
	agent->slots[number].sessions = json_array();
	queued(agent, number, ipsp_conn_list(agent->conn, number), NULL);
}

static void said(const json_t *id, int err)
{
	if (err)
		say(id, cli_json_failed(err, NULL));
	else if (id)
		say(id, json_pack("{s:b}", "ok", 1));
}

/* Nothing answers it but where the script asks for that by an id. */
static void take_released(struct agent *agent, const json_t *line, const json_t *id)
{
	const json_t *number = json_object_get(line, "number"); /* of the event, or none */
	const char *subscriber, *session;
	struct ipsp_address address;
	bool given = false;

	if (json_is_null(number))
		number = NULL;
	if (!get_address(line, &address, &given) || !given)
		say_invalid(id, "released has the address of a release event");
	else if (number && (!json_is_integer(number) || json_integer_value(number) <= 0))
		say_invalid(id, "number is that of a release event, or left out");
	else if (!get_named(line, &subscriber, &session))
		say_invalid(id, "subscriber and session are text, or left out");
	else
		said(id,
		     ipsp_conn_released_session(agent->conn, (uint64_t)json_integer_value(number),
						&address, subscriber, session));
}

static void take_op(struct agent *agent, const json_t *line)
{
	const json_t *id = json_object_get(line, "id");
	const char *op = cli_text(line, "op");
	uint64_t number;

	if (strcmp(op, "released") == 0) {
		take_released(agent, line, id);
	} else if (strcmp(op, "request") != 0 && strcmp(op, "release") != 0 &&
		   strcmp(op, "list") != 0) {
		say_invalid(id, "op is request, release, released or list");
	} else if (!id || json_is_null(id)) {
		say_invalid(id, "an id is missing");
	} else if (!slot_new(agent, id, &number)) {
		say(id, cli_json_failed(IPSP_ERR_NOMEM, NULL));
	} else if (strcmp(op, "request") == 0) {
		take_request(agent, line, number);
	} else if (strcmp(op, "release") == 0) {
		take_release(agent, line, number);
	} else {
		take_list(agent, number);
	}
}

/* The end of the string that begins at @at, behind its quote; @n when it has none. */
static size_t end_of_string(const char *text, size_t n, size_t at)
{
	for (at++; at < n && text[at] != '"'; at++)
		at += text[at] == '\\';
	return at < n ? at + 1 : n;
}

/* The value that stands at @at: a string, a number or a word; NULL: it is none, or cut off. */
static json_t *value_at(const char *text, size_t n, size_t at)
{
	size_t end = at;

	if (at < n && text[at] == '"')
		end = end_of_string(text, n, at);
	else
		while (end < n && !strchr(" \t\r,:{}[]\"", text[end]))
			end++;
	return json_loadb(text + at, end - at, JSON_DECODE_ANY, NULL);
}

/*
 * The id of a line that is no JSON, or no UTF-8, as far as it can be read: whoever waits for the
 * answer has to be told. NULL: it has none, or it is what is broken.
 */
static json_t *id_of_broken(const char *text, size_t n)
{
	int depth = 0;

	for (size_t at = 0; at < n;) {
		size_t from = at;

		depth += text[at] == '{' || text[at] == '[';
		depth -= text[at] == '}' || text[at] == ']';
		at = text[at] == '"' ? end_of_string(text, n, at) : at + 1;
		if (depth != 1 || at - from != 4 || memcmp(text + from, "\"id\"", 4) != 0)
			continue;
		while (at < n && strchr(" \t\r", text[at]))
			at++;
		if (at == n || text[at] != ':')
			continue;
		for (at++; at < n && strchr(" \t\r", text[at]);)
			at++;
		return value_at(text, n, at);
	}
	return NULL;
}

static void say_broken(const char *text, size_t n, const char *message)
{
	json_t *id = id_of_broken(text, n);

	say_invalid(id, message);
	json_decref(id);
}

static void take_line(struct agent *agent, const char *text, size_t n)
{
	json_error_t error;
	json_t *line;

	if (strspn(text, " \t\r") == n)
		return; /* an empty line asks for nothing */
	line = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(line))
		take_op(agent, line);
	else
		say_broken(text, n, line ? "a line is one JSON object" : error.text);
	json_decref(line);
}

/* Takes every whole line of the buffer and keeps the beginning of the next. */
static void take_lines(struct agent *agent)
{
	char *start = agent->line, *end;
	size_t left = agent->n_line;

	while ((end = memchr(start, '\n', left)) != NULL) {
		*end = '\0';
		if (!agent->too_long)
			take_line(agent, start, (size_t)(end - start));
		agent->too_long = false;
		left -= (size_t)(end + 1 - start);
		start = end + 1;
	}
	if (left == sizeof(agent->line) - 1) {
		if (!agent->too_long)
			say_broken(start, left, "the line is too long");
		agent->too_long = true;
		left = 0;
	}
	memmove(agent->line, start, left);
	agent->n_line = left;
}

static void read_input(struct agent *agent)
{
	size_t room = sizeof(agent->line) - 1 - agent->n_line; /* one for the NUL of a last line */
	ssize_t got = read(STDIN_FILENO, agent->line + agent->n_line, room);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		agent->ended = true;
		if (agent->n_line > 0) {
			agent->line[agent->n_line++] = '\n'; /* the last line may lack its end */
			take_lines(agent);
		}
		return;
	}
	agent->n_line += (size_t)got;
	take_lines(agent);
}

/* ---------------------------------------------------------------- the loop */

#define UNREAD_MAX (1u << 20) /* no more is read from the daemon until the script has read some */
#define UNSENT_MAX (8u << 20) /* nor from the script until the daemon has */

/*
 * There is room again for what the daemon has said and was not taken for want of it. The socket
 * doesn't tell: it may have been read already.
 */
static bool may_go_on(const struct agent *agent)
{
	return agent->no_room && cli_lines_unread() < UNREAD_MAX;
}

/* What the daemon has said, as far as there is room for it; 0, or the error that ended the
 * connection. */
static int pump(struct agent *agent)
{
	struct ipsp_conn_msg msg;
	int got = 0;

	while (cli_lines_unread() < UNREAD_MAX &&
	       (got = ipsp_call_next(agent->cli->call, &msg, 0)) > 0) {
		say_message(agent, &msg);
		if (msg.type == IPSP_CONN_BYE)
			return IPSP_ERR_DENIED;
	}
	agent->no_room = got >= 0 && cli_lines_unread() >= UNREAD_MAX;
	return got < 0 ? got : 0;
}

static int wait_for_any(struct agent *agent)
{
	const void *bytes;
	const size_t unread = cli_lines_unread(), unsent = ipsp_conn_output(agent->conn, &bytes);
	const bool reads = !agent->ended && unsent < UNSENT_MAX;
	struct pollfd p[3] = {{.fd = ipsp_call_fd(agent->cli->call)},
			      {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN},
			      {.fd = unread > 0 ? STDOUT_FILENO : -1, .events = POLLOUT}};
	int n;

	if (unread < UNREAD_MAX)
		p[0].events = (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
	else
		p[0].fd = -1;
	/* patience is for the daemon: a script may take its time to read */
	n = poll(p, 3, agent->ended && unread == 0 ? CLI_PATIENCE_MS : -1);
	if (n == 0)
		return CLI_TIMEOUT;
	if (n > 0 && p[1].revents != 0)
		read_input(agent);
	return CLI_DONE;
}

static int serve(struct agent *agent)
{
	int result = CLI_DONE;

	while (result == CLI_DONE) {
		int err = pump(agent);
		bool ends = err || (agent->ended && agent->n_open == 0);

		if (!cli_lines_write(ends))
			return CLI_REFUSED; /* nobody listens to this HA any more */
		if (err == IPSP_ERR_IO)
			return cli_failed(agent->cli, err, NULL);
		if (err)
			return CLI_UNREACHABLE;
		if (ends)
			return CLI_DONE;
		if (!may_go_on(agent))
			result = wait_for_any(agent);
	}
	fprintf(stderr, "ipspctl: timeout: %zu requests were not answered\n", agent->n_open);
	return result;
}

static int run(struct agent *agent)
{
	struct cli *cli = agent->cli;
	struct ipsp_conn_msg msg = {0};
	int result, err;

	cli->look_ms = CLI_PATIENCE_MS;
	result = cli_connect(cli);
	if (result != CLI_DONE)
		return result;
	agent->conn = ipsp_call_conn(cli->call);
	ipsp_call_on_message(cli->call, say_message, agent);
	err = ipsp_call_attach(cli->call, cli->context, cli->name ? cli->name : "agent", &msg,
			       CLI_PATIENCE_MS);
	return err ? cli_failed(cli, err, &msg) : serve(agent);
}

int cli_agent(struct cli *cli)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int result;

	if (!agent)
		return cli_failed(cli, IPSP_ERR_NOMEM, NULL);
	agent->cli = cli;
	result = run(agent);
	for (size_t i = 0; i < agent->n_slots; i++)
		if (agent->slots[i].id)
			slot_free(agent, i);
	free(agent->slots);
	free(agent);
	cli_lines_free();
	return result;
}
