#include "fault.h"

const char *const fault_texts[SIM_FAULT_COUNT] = {
#define SIM_FAULT_TEXT(name, text) text,
	SIM_FAULTS(SIM_FAULT_TEXT)
#undef SIM_FAULT_TEXT
};
