/*
 * rig - a real daemon in this process, and clients on its control socket: one context, inactive, so
 * that it serves alone. Clients are libipsp's connections on sockets that never block; nothing
 * happens but by rig_turn().
 */
#ifndef UNIT_RIG_H
#define UNIT_RIG_H

#include "base/ctlmsg.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/loop.h"
#include "daemon/start.h"
#include "ipsp.h"
#include <sys/types.h>

#define RIG_CLIENTS 4

struct rig_client {
	int fd; /* -1: not connected */
	struct ipsp_conn *conn;
};

struct rig {
	char dir[64], socket[96], file[96];
	struct ipspd_config config;
	struct ipspd daemon;
	struct rig_client clients[RIG_CLIENTS];
};

int rig_set_up(void **state); /* for cmocka: *state is a rig whose daemon serves */
int rig_tear_down(void **state);
void rig_write_config(const struct rig *w, const char *network);
void rig_read(struct rig *w); /* what has come is read, all of it, and no turn taken */
void rig_turn(struct rig *w); /* what has come is read, and one turn taken */

struct rig_client *rig_connect(struct rig *w, size_t i);
void rig_close(struct rig_client *c);
bool rig_push(struct rig_client *c); /* writes what the socket takes; true when that was all */
/* One read: how many bytes came, 0 for none yet, -1 for the end of the connection. */
ssize_t rig_pull(struct rig_client *c, size_t max);
/* Goes on until a message of @type has come; the others that come before it are passed over. */
struct ipsp_conn_msg rig_wait_for(struct rig *w, struct rig_client *c, enum ipsp_conn_type type);
struct rig_client *rig_attach_as(struct rig *w, size_t i, const char *name);
struct ipsp_address rig_request(struct rig *w, struct rig_client *c, const char *subscriber);
/* The daemon closes this connection; the last word before is @err's. */
void rig_expect_bye(struct rig *w, struct rig_client *c, int err);
size_t rig_count_list(struct rig *w, struct rig_client *c);

#endif
