#include "base/histogram.h"

const uint32_t ipsp_histogram_bounds[IPSP_HISTOGRAM_BOUNDS] = {
	50,    100,    250,    500,    1000,	2500,	 5000,	  10000,    25000,
	50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

void ipsp_histogram_add(struct ipsp_histogram *histogram, uint64_t us, uint64_t n)
{
	unsigned i = 0;

	while (i < IPSP_HISTOGRAM_BOUNDS && us > ipsp_histogram_bounds[i])
		i++;
	histogram->counts[i] += n;
	histogram->sum_us += us * n;
}
