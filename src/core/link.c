/*
 * link - this side's own end of the link, as the shell sees it: whoever concludes from silence must
 * have been able to hear. And the other half: the peer is heard, and says that it does not hear
 * this side.
 *
 * A first listening counts only time in which nothing failed here. The dead interval runs on (the
 * chapter's B8), unless takeover-when-deaf is false.
 *
 * A SHAKE that begins a handshake may be one of long ago that somebody plays again, so it prolongs
 * a first listening for one dead interval at most. One that echoes what this side has just offered,
 * and a sealed datagram, only the peer can have made, and only now.
 */
#include "core/node_int.h"

#include <stdio.h>
#include <string.h>

/* Three of the longer hello intervals: in that time a peer that lives is heard. */
static uint32_t three_hellos(const struct ipsp_node *n)
{
	const uint32_t mine = ipsp_hello_ms(n), theirs = n->peer.hello.hello_ms;

	return 3 * (mine > theirs ? mine : theirs);
}

bool ipsp_link_deaf(const struct ipsp_node *n)
{
	return n->link.error[0] && ipsp_link_open(n);
}

bool ipsp_link_stays_still(const struct ipsp_node *n)
{
	return ipsp_link_deaf(n) && !ipsp_psp(n)->takeover_when_deaf;
}

const char *ipsp_link_words(const struct ipsp_node *n)
{
	if (n->link.error[0])
		return n->link.error;
	if (n->link.unheard)
		return "the peer does not hear this side";
	return n->link.bound ? "bound" : "not open";
}

/* --------------------------------------------------------------- the first listening */

/* A licence goes on where its takeover would be allowed, see ipsp_lease_start(). */
static bool counts_here(const struct ipsp_node *n)
{
	return n->side.licence && ipsp_psp(n)->takeover_when_deaf;
}

void ipsp_link_listen(struct ipsp_node *n, uint32_t ms)
{
	n->listen_ms = ms;
	n->listen_until = n->now + ms;
	n->listen_deaf = ipsp_link_deaf(n) && !counts_here(n);
	n->link.knocks_since = IPSP_NEVER;
}

void ipsp_link_listen_no_more(struct ipsp_node *n)
{
	n->listen_until = 0;
	n->listen_deaf = false;
}

bool ipsp_link_listens(const struct ipsp_node *n, ipsp_ms now)
{
	/* who says and hears nothing by its configuration is not deaf: it serves alone */
	return (n->listen_deaf && ipsp_link_open(n)) || now < n->listen_until;
}

static bool lately(const struct ipsp_node *n, ipsp_ms at)
{
	return at != IPSP_NEVER && n->now - at < ipsp_loss_ms(n);
}

bool ipsp_link_peer_lives(const struct ipsp_node *n)
{
	return ipsp_heard(n) || lately(n, n->peer.opened_at) || lately(n, n->link.answered_at);
}

void ipsp_link_not_silent(struct ipsp_node *n, bool answer)
{
	if (answer)
		n->link.answered_at = n->now;
	if (!ipsp_link_listens(n, n->now) || n->side.licence || n->peer.known)
		return;
	if (n->link.knocks_since == IPSP_NEVER)
		n->link.knocks_since = n->now;
	if (!answer && n->now - n->link.knocks_since >= ipsp_dead_ms(n))
		return;
	n->listen_until = n->now + n->listen_ms;
	n->link.knocked_at = n->now;
}

/* --------------------------------------------------------------- what the shell says */

static void tell(struct ipsp_node *n)
{
	n->state_changed = true;
	ipsp_out_trap(n, IPSP_TRAP_LINK_CHANGE, IPSP_ADDR_NONE);
	ipsp_out_hook(n, IPSP_HOOK_LINK_CHANGE, IPSP_ADDR_NONE);
}

static void becomes_deaf(struct ipsp_node *n)
{
	n->link.since = n->now;
	if (ipsp_link_listens(n, n->now) && !counts_here(n))
		n->listen_deaf = true;
	if (!ipsp_link_open(n))
		return;
	ipsp_say(n, IPSP_LOG_WARNING, "this side's own link fails: %s; trying again",
		 n->link.error);
	tell(n);
}

static void hears_again(struct ipsp_node *n)
{
	n->link.hears_at = n->now + three_hellos(n);
	n->link.knocked_at = IPSP_NEVER;
	if (n->listen_deaf) {
		n->listen_deaf = false;
		n->listen_until = n->now + n->listen_ms;
		n->link.knocks_since = IPSP_NEVER;
	}
	n->peer.shook_at = IPSP_NEVER; /* no need to wait for the next time */
	n->hello_soon = true;
	if (!ipsp_link_open(n))
		return;
	ipsp_say(n, IPSP_LOG_NOTICE, "this side's own link works again, after %llu s",
		 (unsigned long long)((n->now - n->link.since) / 1000));
	tell(n);
}

void ipsp_link_on(struct ipsp_node *n, bool bound, const char *error)
{
	char was[IPSP_LINK_TEXT];

	memcpy(was, n->link.error, sizeof was);
	n->link.bound = bound;
	snprintf(n->link.error, sizeof n->link.error, "%s", error ? error : "");
	if (strcmp(was, n->link.error) == 0)
		return;
	if (!was[0]) {
		becomes_deaf(n);
	} else if (!n->link.error[0]) {
		hears_again(n);
	} else if (ipsp_link_open(n)) { /* as deaf as before, for another reason */
		ipsp_say(n, IPSP_LOG_WARNING, "this side's own link fails: %s", n->link.error);
		tell(n);
	}
}

/* Before a step: what passed since the last one was no silence, if nothing could be heard. */
void ipsp_link_count(struct ipsp_node *n)
{
	ipsp_ms *since = &n->lease.quiet_since;

	if (!ipsp_link_deaf(n) || (n->side.shared && ipsp_psp(n)->takeover_when_deaf) ||
	    n->now <= n->last_step)
		return;
	/* without a sharing there is no takeover, and so no exception for one */
	if (!n->side.shared && n->peer.heard_at != IPSP_NEVER && *since < n->peer.heard_at)
		*since = n->peer.heard_at;
	*since += n->now - n->last_step;
	*since = *since > n->now ? n->now : *since;
	n->lease_dirty = true;
}

/* --------------------------------------------------------------- heard one way */

/* It begins handshakes, and never gets an answer of ours. */
static bool knocks(const struct ipsp_node *n)
{
	return n->link.knocked_at != IPSP_NEVER && ipsp_link_listens(n, n->now) && !n->peer.known;
}

static void say_unheard(struct ipsp_node *n)
{
	const ipsp_ms end = n->side.shared && !n->side.licence ? n->lease.lease_end : 0;

	ipsp_say(n, IPSP_LOG_WARNING,
		 "the peer is heard, but does not hear this side: what is sent from here does not "
		 "arrive there; look at the link and at firewalls on the way");
	if (ipsp_serves(n, n->now) && end > n->now)
		ipsp_say(n, IPSP_LOG_WARNING,
			 "this side serves new sessions for %llu s more, while its lease runs",
			 (unsigned long long)((end - n->now) / 1000));
}

void ipsp_link_watch(struct ipsp_node *n)
{
	const bool heard = (ipsp_heard(n) && !ipsp_contact(n)) || knocks(n);
	/* one that leaves listens to nothing else any more */
	const bool leaves = !ipsp_psp(n)->enabled || n->leaving || ipsp_flag(n, IPSP_HF_LEFT);
	const bool one_way = heard && !leaves && !ipsp_link_deaf(n);

	if (!one_way)
		n->link.unheard_since = IPSP_NEVER;
	else if (n->link.unheard_since == IPSP_NEVER)
		n->link.unheard_since = n->now;
	/* a peer that has fallen silent is not heard once more; and a new session of keys has no
	 * echo yet, for a moment */
	const ipsp_ms since = n->link.unheard_since;
	bool unheard =
		one_way && (n->peer.echoed_sent_at != IPSP_NEVER
				    ? n->peer.heard_at != IPSP_NEVER && n->peer.heard_at > since
				    : n->now - since >= three_hellos(n));
	if (n->link.unheard && !leaves && !ipsp_link_deaf(n) && !ipsp_contact(n) &&
	    lately(n, n->peer.opened_at))
		unheard = true; /* between two sessions of keys nothing is known */
	if (unheard == n->link.unheard)
		return;
	n->link.unheard = unheard;
	if (unheard)
		say_unheard(n);
	else if (ipsp_contact(n))
		ipsp_say(n, IPSP_LOG_NOTICE, "the peer hears this side again");
	tell(n);
}
