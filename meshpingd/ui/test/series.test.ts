// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';
import { gapDetail, gapWords, summarise, toMarks } from '../src/series.ts';

test('a gap of a pause says so, with the reason and its times, and no other word', () => {
  const from_ms = Date.parse('2030-01-01T12:00'), until_ms = Date.parse('2030-01-02T08:30');
  const gap = { from_ms: from_ms + 1, to_ms: from_ms + 2, reason: 'paused', pause: { reason: 'new line card', from_ms, until_ms } };
  assert.equal(gapWords(gap), 'paused: new line card');
  assert.equal(gapDetail(gap), 'Paused from 2030-01-01 12:00:00 until 2030-01-02 08:30:00: new line card');
  assert.equal(gapDetail({ ...gap, pause: { reason: 'x', from_ms } }), 'Paused from 2030-01-01 12:00:00 until somebody resumes it: x');
  assert.equal(gapDetail({ from_ms, to_ms: until_ms, reason: 'agent_away' }), 'Missing: the agent is away.');
});

test('a pause is neither loss nor a stretch that is missing', () => {
  const hour = {
    agent: 'a', target: 1, from_ms: 0, to_ms: 60000, interval_ms: 5000, time_ms: [5000, 30000, 55000], rtt_us: [1000, 1000, 1000], outcome: ['ok', 'ok', 'ok'], flags: [0, 0, 0],
    gaps: [{ from_ms: 5000, to_ms: 30000, reason: 'agent_away' }, { from_ms: 30000, to_ms: 55000, reason: 'paused', pause: { reason: 'moved', from_ms: 29000 } }], damaged: [], clock: [],
  };
  const { replies, lost, local, missing, pauses } = summarise(hour);
  assert.deepEqual({ replies, lost, local, missing, pauses }, { replies: 3, lost: 0, local: 0, missing: 1, pauses: 1 });
  assert.deepEqual(toMarks(hour).gaps, [{ fromS: 5, toS: 30, words: 'the agent is away', paused: false }, { fromS: 30, toS: 55, words: 'paused: moved', paused: true }]);
  assert.deepEqual(toMarks(hour).y, [1, null, 1, null, 1]);
});
