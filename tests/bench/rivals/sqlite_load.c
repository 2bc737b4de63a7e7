/*
 * sqlite_load - the pool as a table in SQLite, in this process: no socket, no other process to
 * wake. So it is an upper bound for a daemon that keeps its pool there.
 *
 *   bench_sqlite FOLDER SIZE normal|full BATCH SECONDS CORE
 *
 * Write-ahead log; normal: a commit is in the page cache, full: flushed. BATCH takes in each
 * transaction. A latency is that of a transaction.
 */
#include "measure.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKES_MAX 2000000u

static void run_sql(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		die("%s: %s", sql, why);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		die("%s: %s", sql, sqlite3_errmsg(db));
	return stmt;
}

static void fill(sqlite3 *db, uint32_t size)
{
	run_sql(db, "CREATE TABLE pool (address INTEGER PRIMARY KEY, free_since INTEGER, session "
		    "TEXT)");
	run_sql(db, "BEGIN");
	sqlite3_stmt *insert = prepare(db, "INSERT INTO pool VALUES (?, ?, NULL)");
	for (uint32_t i = 0; i < size; i++) {
		sqlite3_bind_int64(insert, 1, i);
		sqlite3_bind_int64(insert, 2, scattered(i, size));
		if (sqlite3_step(insert) != SQLITE_DONE)
			die("%s", sqlite3_errmsg(db));
		sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	run_sql(db, "CREATE INDEX longest_free ON pool (free_since) WHERE session IS NULL");
	run_sql(db, "CREATE INDEX by_session ON pool (session) WHERE session IS NOT NULL");
	run_sql(db, "COMMIT");
}

/* False: none is free. */
static int take(sqlite3 *db, sqlite3_stmt *has, sqlite3_stmt *update, uint32_t session)
{
	char name[32];
	int n = snprintf(name, sizeof(name), "u%07x@s%07x", session, session);

	sqlite3_bind_text(has, 1, name, n, SQLITE_STATIC);
	int known = sqlite3_step(has) == SQLITE_ROW;
	sqlite3_reset(has);
	if (known)
		return 1;
	sqlite3_bind_text(update, 1, name, n, SQLITE_STATIC);
	if (sqlite3_step(update) != SQLITE_DONE)
		die("%s", sqlite3_errmsg(db));
	sqlite3_reset(update);
	return sqlite3_changes(db) == 1;
}

int main(int argc, char **argv)
{
	struct latencies latencies;
	uint32_t n = 0;
	char path[512];
	sqlite3 *db;

	if (argc != 7)
		die("bench_sqlite FOLDER SIZE normal|full BATCH SECONDS CORE");
	const uint32_t size = whole(argv[2]), batch = whole(argv[4]);
	errno = 0;
	pin((int)whole(argv[6]));
	latencies_init(&latencies, TAKES_MAX);
	snprintf(path, sizeof(path), "%s/pool.sqlite", argv[1]);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		die("%s", path);
	run_sql(db, "PRAGMA journal_mode = WAL");
	run_sql(db, "PRAGMA cache_size = -524288"); /* all of it fits */
	fill(db, size);
	run_sql(db, strcmp(argv[3], "full") == 0 ? "PRAGMA synchronous = FULL"
						 : "PRAGMA synchronous = NORMAL");
	sqlite3_stmt *has = prepare(db, "SELECT address FROM pool WHERE session = ?");
	sqlite3_stmt *update =
		prepare(db, "UPDATE pool SET session = ? WHERE address = (SELECT address FROM pool "
			    "WHERE session IS NULL ORDER BY free_since LIMIT 1)");
	const uint64_t start = now_ns(), end = start + (uint64_t)(number(argv[5]) * 1e9);
	while (n < size - batch && now_ns() < end) {
		const uint64_t from = now_ns();

		run_sql(db, "BEGIN IMMEDIATE");
		for (uint32_t i = 0; i < batch; i++)
			if (!take(db, has, update, n++))
				die("the pool is empty");
		run_sql(db, "COMMIT");
		latencies_add(&latencies, now_ns() - from);
	}
	print_run(n, now_ns() - start, &latencies);
	sqlite3_finalize(has);
	sqlite3_finalize(update);
	sqlite3_close(db);
	return 0;
}
