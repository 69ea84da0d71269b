// SPDX-License-Identifier: Apache-2.0
// A worker: holds the live feed's WebSocket and takes its messages apart, so that a million cells hold up nobody who
// types or scrolls.
import { flatten, type FlatSnapshot } from './model.ts';
import type { LiveMessage } from './types.ts';

/** `of`: the connection. Without an address it is to be closed. */
export interface FeedOrder {
  of: number;
  url?: string;
}
type Taken = Exclude<LiveMessage, { event: 'snapshot' }> | { event: 'snapshot'; data: FlatSnapshot };
export type FeedMessage = { of: number } & (Taken | { event: 'closed'; code: number });

let socket: WebSocket | undefined;

function take(of: number, text: string): void {
  const message = JSON.parse(text) as LiveMessage;
  if (message.event !== 'snapshot') return postMessage({ of, ...message } satisfies FeedMessage);
  const data = flatten(message.data);
  postMessage({ of, event: 'snapshot', data } satisfies FeedMessage, { transfer: Object.values(data.cells).map((array) => array.buffer) });
}

addEventListener('message', ({ data: { of, url } }: MessageEvent<FeedOrder>) => {
  socket?.close();
  socket = undefined;
  if (!url) return;
  const mine = new WebSocket(url, 'meshping.live.v1');
  socket = mine;
  mine.onmessage = (message) => {
    if (socket === mine && typeof message.data === 'string') take(of, message.data);
  };
  mine.onclose = ({ code }) => {
    if (socket === mine) postMessage({ of, event: 'closed', code } satisfies FeedMessage);
  };
});
