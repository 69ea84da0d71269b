/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/cell.h>

const char *meshping_cell_state_name(unsigned state)
{
    switch (state) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_CELL_##name:                                                                                         \
        return text;
        MESHPING_CELL_STATE_MAP(XX)
#undef XX
    }
    return "unknown";
}

void meshping_cell_thresholds_init(meshping_cell_thresholds *thresholds)
{
    *thresholds = (meshping_cell_thresholds){.slow_rtt_us = 100000, .lossy_count = 1, .stale_intervals = 3};
}

void meshping_cell_add(meshping_cell *cell, const meshping_sample *sample, int64_t seen_unix_us)
{
    if (cell->newest_seen_unix_us && sample->slot_unix_us <= cell->newest_slot_unix_us)
        return;
    cell->newest_slot_unix_us = sample->slot_unix_us;
    cell->newest_seen_unix_us = seen_unix_us;
    cell->newest_rtt_us = sample->rtt_us;
    cell->newest_outcome = sample->outcome;
    meshping_outcome_class verdict = meshping_outcome_classify(sample->outcome);
    if (verdict == MESHPING_CLASS_LOCAL_ERROR)
        return;
    cell->lost =
        (uint16_t)(((cell->lost << 1) | (verdict == MESHPING_CLASS_FAIL)) & ((1u << MESHPING_CELL_WINDOW) - 1));
    if (cell->verdicts < MESHPING_CELL_WINDOW)
        cell->verdicts++;
}

unsigned meshping_cell_lost(const meshping_cell *cell)
{
    return (unsigned)__builtin_popcount(cell->lost);
}

meshping_cell_state meshping_cell_get_state(const meshping_cell *cell, const meshping_cell_thresholds *thresholds,
                                            bool agent_online, uint32_t interval_ms, uint32_t timeout_ms,
                                            int64_t now_unix_us)
{
    if (!agent_online)
        return MESHPING_CELL_AGENT_OFFLINE;
    if (!cell->newest_seen_unix_us)
        return MESHPING_CELL_NO_DATA;
    if (cell->newest_outcome >= MESHPING_OUTCOME_LOCAL_FIRST)
        return MESHPING_CELL_LOCAL_ERROR;
    int64_t patience_us = ((int64_t)interval_ms * thresholds->stale_intervals + timeout_ms) * 1000;
    if (now_unix_us - cell->newest_seen_unix_us > patience_us)
        return MESHPING_CELL_STALE;
    if (cell->lost & 1)
        return MESHPING_CELL_FAIL;
    if (meshping_cell_lost(cell) >= thresholds->lossy_count)
        return MESHPING_CELL_LOSSY;
    if (cell->newest_rtt_us > thresholds->slow_rtt_us)
        return MESHPING_CELL_SLOW;
    return MESHPING_CELL_OK;
}
