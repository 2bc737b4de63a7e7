/*
 * twin - both sides say the same identity of books: a state directory was copied from one host to
 * the other. Each believes to own what the other may give, and nobody can say whose the books are.
 *
 * Where nothing was shared the identity means nothing, and one side takes another. Else neither
 * gives new addresses, promises anything, nor moves anything, until an operator has taken the copy
 * away. What sessions have is confirmed. As the two hear each other, no silence runs.
 */
#include "core/node_int.h"

/* Of two that have shared nothing one keeps its name: by configuration, or else by the address. */
static bool keeps_its_name(const struct ipsp_node *n, const struct ipsp_hello *h)
{
	const bool mine = ipsp_psp(n)->role == IPSP_ROLE_PRIMARY;

	if (h->flags & (IPSP_HF_SHARED | IPSP_HF_LOST))
		return false;
	if (mine != !!(h->flags & IPSP_HF_CONF_PRIMARY))
		return mine;
	return ipsp_addr_cmp(ipsp_psp(n)->address, ipsp_psp(n)->peer) < 0;
}

static void take_another_name(struct ipsp_node *n)
{
	struct ipsp_side s = n->side;

	do
		ipsp_rng_bytes(&n->rng, &s.books, sizeof(s.books));
	while (s.books == 0);
	s.peer_books = 0;
	ipsp_rec_side(n, &s, true);
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_WARNING,
		 "the peer's state directory and this side's are copies of one, from before "
		 "anything "
		 "was shared: this side takes another identity");
}

static void begin(struct ipsp_node *n)
{
	n->peer.twin = true;
	n->hello_soon = true;
	ipsp_say(n, IPSP_LOG_ERROR,
		 "the peer has the same books as this side: one of the two state directories is a "
		 "copy of the other. Nothing is shared, and neither side gives new addresses. Stop "
		 "ipspd on the host to which it was copied, move its state directory away, and "
		 "start "
		 "it again: its state comes back from the peer");
}

static void neither_gives(struct ipsp_node *n)
{
	if (!n->peer.twin)
		begin(n);
	/* a licence was for a peer that is not there: it rests as long as this one is */
	n->licence_resting = n->side.licence;
	n->lease.lease_end = 0;
	ipsp_lease_touch(n);
}

bool ipsp_twin_on_hello(struct ipsp_node *n, const struct ipsp_hello *h)
{
	if (h->books != n->side.books) {
		n->peer.twin = false;
		return false;
	}
	ipsp_lease_on_hello(n, h); /* it is heard */
	if (n->side.shared || n->side.lost)
		neither_gives(n);
	else if (!keeps_its_name(n, h))
		take_another_name(n);
	n->peer.known = !(h->flags & IPSP_HF_GOODBYE);
	return true;
}
