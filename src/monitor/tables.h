/*
 * tables - the SNMP tables as rows of plain values, made from the daemon's JSON. Knows no SNMP.
 *
 * A row is {"index":[...],"columns":{"3":...}}: the index as texts, the last of them IMPLIED; the
 * values by the number of their column, each a text or a whole number.
 */
#ifndef MONITOR_TABLES_H
#define MONITOR_TABLES_H

#include <jansson.h>

enum table_id {
	TABLE_CONTEXT,	  /* ipspdContextTable */
	TABLE_POOL,	  /* ipspdPoolTable */
	TABLE_STAR_POOL,  /* starIPPoolTable */
	TABLE_STAR_GROUP, /* starIPPoolGroupTable */
	TABLES
};

/*
 * The rows of a table, a new array, from what `show` gave for "ipsp" and "pool". NULL: memory ran
 * out.
 */
json_t *tables_rows(enum table_id table, const json_t *ipsp, const json_t *pool);

#endif
