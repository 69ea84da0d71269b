// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';
import { gapDetail, gapWords } from '../src/series.ts';

test('a gap of a pause says so, with the reason and its times, and no other word', () => {
  const from_ms = Date.parse('2030-01-01T12:00'), until_ms = Date.parse('2030-01-02T08:30');
  const gap = { from_ms: from_ms + 1, to_ms: from_ms + 2, reason: 'paused', pause: { reason: 'new line card', from_ms, until_ms } };
  assert.equal(gapWords(gap), 'paused: new line card');
  assert.equal(gapDetail(gap), 'Paused from 2030-01-01 12:00:00 until 2030-01-02 08:30:00: new line card');
  assert.equal(gapDetail({ ...gap, pause: { reason: 'x', from_ms } }), 'Paused from 2030-01-01 12:00:00 until somebody resumes it: x');
  assert.equal(gapDetail({ from_ms, to_ms: until_ms, reason: 'agent_away' }), 'Missing: the agent is away.');
});
