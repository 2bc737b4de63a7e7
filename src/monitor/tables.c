#include "monitor/tables.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	const json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? n : 0;
}

/* The place of @word in a list that a NULL ends, counted from @first; @none where it is not there.
 */
static int place(const char *const *words, int first, int none, const char *word)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return first + i;
	return none;
}

static int role_of(const json_t *object, const char *key)
{
	static const char *const words[] = {"none", "primary", "secondary", NULL};

	return place(words, 0, 0, text_of(object, key));
}

/* TruthValue */
static int truth(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key)) ? 1 : 2;
}

/* ---------------------------------------------------------------- our own tables */

static json_t *context_row(const json_t *context)
{
	static const char *const states[] = {
		"disabled", "inactive",	 "checking",  "connecting",  "config-mismatch", "locked",
		"active",   "peer-lost", "peer-down", "reconciling", "terminated",	NULL};
	static const char *const peer_states[] = {"unknown", "up", "lost", "down", "stopped", NULL};
	const json_t *peer = json_object_get(context, "peer");
	const json_t *counters = json_object_get(context, "counters");

	return json_pack(
		"{s:[s], s:{s:s, s:i, s:i, s:i, s:i, s:i, s:s, s:I, s:I, s:i, s:I, s:I, s:I}}",
		"index", text_of(context, "name"), "columns", "2", text_of(context, "interface"),
		"3", role_of(context, "role"), "4", role_of(context, "configured-role"), "5",
		place(states, 0, 0, text_of(context, "state")), "6",
		place(peer_states, 0, 0, text_of(peer, "state")), "7", truth(context, "serving"),
		"8", text_of(context, "waiting-for"), "9", number_of(peer, "dead-in-ms") / 1000,
		"10", number_of(context, "epoch"), "11", truth(context, "draining"), "12",
		number_of(counters, "requests-refused"), "13",
		number_of(counters, "duplicates-open"), "14",
		number_of(counters, "duplicates-resolved"));
}

static json_t *pool_row(const json_t *context, const json_t *pool)
{
	return json_pack("{s:[s, s], s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "index",
			 text_of(context, "name"), text_of(pool, "name"), "columns", "3",
			 number_of(pool, "size"), "4", number_of(pool, "used"), "5",
			 number_of(pool, "free"), "6", number_of(pool, "hold"), "7",
			 number_of(pool, "quarantine"), "8", number_of(pool, "released"), "9",
			 number_of(pool, "in-transit"), "10", number_of(pool, "reclaimed"));
}

/* ---------------------------------------------------------------- the original's */

/* The first 8 characters of the context, a colon, the first 16 of @name. */
static void star_index(char id[26], const json_t *context, const char *name)
{
	snprintf(id, 26, "%.8s:%.16s", text_of(context, "name"), name);
}

/* An IPv4 address; IpAddress has no other. */
static const char *v4(const json_t *pool, const char *key)
{
	const char *text = text_of(pool, key);

	return *text && !strchr(text, ':') ? text : "0.0.0.0";
}

/*
 * Free is what may be given here at once. The original's Release (used before, may be given again)
 * is part of it: a manager that adds the two gets no more than there is. What the peer has is in
 * neither.
 */
static json_t *star_pool_row(const json_t *context, const json_t *pool, size_t number)
{
	static const char *const types[] = {"private", "public", "static", NULL};
	char id[26];

	star_index(id, context, text_of(pool, "name"));
	return json_pack(
		"{s:[s], s:{s:i, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:I, s:I, s:I, s:i, s:I}}",
		"index", id, "columns", "1", (int)number + 1, "3", text_of(context, "name"), "4",
		text_of(pool, "group"), "5", text_of(pool, "name"), "6",
		place(types, 1, 0, text_of(pool, "type")), "7",
		json_is_true(json_object_get(pool, "busyout")) ? 5 : 1, "8", v4(pool, "first"), "9",
		v4(pool, "last"), "10", number_of(pool, "priority"), "11", number_of(pool, "used"),
		"12", number_of(pool, "hold") + number_of(pool, "quarantine"), "13", 0, "14",
		number_of(pool, "free"));
}

/* Of the pools of @group in @context. */
static json_t *star_group_row(const json_t *context, const char *group)
{
	json_int_t used = 0, hold = 0, free = 0, size = 0;
	const json_t *pool;
	char id[26];
	size_t i;

	json_array_foreach(json_object_get(context, "pools"), i, pool)
	{
		if (strcmp(text_of(pool, "group"), group) != 0)
			continue;
		used += number_of(pool, "used");
		hold += number_of(pool, "hold") + number_of(pool, "quarantine");
		free += number_of(pool, "free");
		size += number_of(pool, "size");
	}
	star_index(id, context, group);
	return json_pack("{s:[s], s:{s:s, s:s, s:I, s:I, s:i, s:I, s:I, s:I}}", "index", id,
			 "columns", "3", group, "4", text_of(context, "name"), "5", used, "6", hold,
			 "7", 0, "8", free, "9", size > 0 ? used * 10000 / size : 0, "10", free);
}

/* ---------------------------------------------------------------- all rows */

/* It is the first pool of its group. */
static bool begins_group(const json_t *context, size_t at)
{
	const json_t *pools = json_object_get(context, "pools");
	const char *group = text_of(json_array_get(pools, at), "group");

	for (size_t i = 0; i < at; i++)
		if (strcmp(text_of(json_array_get(pools, i), "group"), group) == 0)
			return false;
	return *group != '\0';
}

static int add_pools(json_t *rows, enum table_id table, const json_t *context, size_t number)
{
	const json_t *pool;
	size_t i;
	int err = 0;

	json_array_foreach(json_object_get(context, "pools"), i, pool)
	{
		if (table == TABLE_POOL)
			err |= json_array_append_new(rows, pool_row(context, pool));
		else if (table == TABLE_STAR_POOL)
			err |= json_array_append_new(rows, star_pool_row(context, pool, number));
		else if (begins_group(context, i))
			err |= json_array_append_new(
				rows, star_group_row(context, text_of(pool, "group")));
	}
	return err;
}

json_t *tables_rows(enum table_id table, const json_t *ipsp, const json_t *pool)
{
	const json_t *root = table == TABLE_CONTEXT ? ipsp : pool, *context;
	json_t *rows = json_array();
	size_t i;
	int err = 0;

	json_array_foreach(json_object_get(root, "contexts"), i, context)
	{
		if (table == TABLE_CONTEXT)
			err |= json_array_append_new(rows, context_row(context));
		else
			err |= add_pools(rows, table, context, i);
	}
	if (!err)
		return rows;
	json_decref(rows);
	return NULL;
}
