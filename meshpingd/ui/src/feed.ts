// SPDX-License-Identifier: Apache-2.0
// A worker: takes the live feed's messages apart, so that a million cells hold up nobody who types or scrolls.
import { flatten, type FlatSnapshot } from './model.ts';
import type { LiveMessage } from './types.ts';

/** `of`: the connection that it came by. */
export interface FeedText {
  of: number;
  text: string;
}
type Taken = Exclude<LiveMessage, { event: 'snapshot' }> | { event: 'snapshot'; data: FlatSnapshot };
export type FeedMessage = { of: number } & Taken;

addEventListener('message', (event: MessageEvent<FeedText>) => {
  const { of, text } = event.data;
  const message = JSON.parse(text) as LiveMessage;
  if (message.event !== 'snapshot') return postMessage({ of, ...message });
  const data = flatten(message.data);
  postMessage({ of, event: message.event, data }, { transfer: Object.values(data.cells).map((array) => array.buffer) });
});
