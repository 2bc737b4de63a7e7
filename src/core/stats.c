#include "core/stats.h"

const struct ipsp_stats_name ipsp_stats_names[] = {
#define IPSP_STATS_NAME(field, word, words) {word, words, offsetof(struct ipsp_stats, field)},
	IPSP_STATS(IPSP_STATS_NAME)
#undef IPSP_STATS_NAME
		{NULL, NULL, 0},
};
