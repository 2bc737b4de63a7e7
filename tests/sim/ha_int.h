/* What the files of the HA share: ha.c, and ha_reads.c, what it makes of what its node says. */
#ifndef SIM_HA_INT_H
#define SIM_HA_INT_H

#include "ha.h"
#include "world.h"

#define RETRY_RECOVER SIM_MS(500)

/* ha.c */
void ha_timer_by(struct ha *ha, sim_us at);
struct ha_session *ha_find_addr(struct ha *ha, uint32_t gaddr);
struct ha_session *ha_session_add(struct ha *ha, uint32_t sub, uint32_t sess, uint32_t gaddr);
void ha_session_del(struct ha *ha, struct ha_session *s);
struct mn *ha_mn_of(struct ha *ha, uint32_t sub);
void ha_push(struct ha *ha, enum ipc_kind kind, struct ipc m);
void ha_push_release(struct ha *ha, uint32_t sub, uint32_t sess, uint32_t gaddr);

/* ha_reads.c */
void ha_answer_event(struct ha *ha, struct ha_thought *t);
void ha_read_event(struct ha *ha, const struct ipc *m);
void ha_read_cancelled(struct ha *ha, const struct ipc *m);
void ha_read_answer(struct ha *ha, const struct ipc *m);

#endif
