/*
 * stories - one short tale for each thing that the pair must survive, with its exact ending. What
 * they have in common is told in story.h. Each runs its stories and returns how many have failed.
 */
#ifndef SIM_STORIES_H
#define SIM_STORIES_H

int stories_sessions(void);
int stories_failures(void);
int stories_healing(void);
int stories_commands(void);
int stories_rules(void);
int stories_scenarios(void);
int stories_transfers(void);
int stories_apart(void);
int stories_held(void);
int stories_twin(void);
int stories_roles(void);
int stories_drains(void);
int stories_link(void);
int stories_keys(void);
int stories_recorded(void);
int stories_renewal(void);

#endif
