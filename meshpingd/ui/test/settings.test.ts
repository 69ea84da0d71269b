// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';
import { amountOf, losses, type Setting } from '../src/settings.ts';

const kept = (retention: string, size = '0'): Setting[] => [
  { name: 'retention', type: 'duration', value: retention, default: '24h', help: '', source: 'database', changeable: true },
  { name: 'database_max_size', type: 'size', value: size, default: '0', help: '', source: 'default', changeable: true },
];

test('amounts are read as the server reads them', () => {
  assert.equal(amountOf('90m', 'duration'), 5400);
  assert.equal(amountOf('2y', 'duration'), 63072000);
  assert.equal(amountOf('20G', 'size'), 20 * 2 ** 30);
  assert.equal(amountOf('0', 'size'), 0);
  assert.equal(amountOf('24hours', 'duration'), undefined);
  assert.equal(amountOf('', 'duration'), undefined);
  assert.equal(amountOf('24', 'duration'), undefined);
});

test('whoever keeps less is asked, and nobody else', () => {
  assert.equal(losses(kept('7d'), { retention: '48h' }).length, 1);
  assert.equal(losses(kept('7d'), { retention: null }).length, 1);
  assert.equal(losses(kept('24h'), { retention: '25h' }).length, 0);
  assert.equal(losses(kept('24h'), { retention: '1d' }).length, 0);
  assert.equal(losses(kept('24h'), { retention: 'x' }).length, 0);
  assert.equal(losses(kept('24h'), { slow_ms: '1' }).length, 0);
  assert.equal(losses(kept('24h'), { database_max_size: '1G' }).length, 1);
  assert.equal(losses(kept('24h', '1G'), { database_max_size: '2G' }).length, 0);
  assert.equal(losses(kept('24h', '1G'), { database_max_size: '0' }).length, 0);
});
