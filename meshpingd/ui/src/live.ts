// SPDX-License-Identifier: Apache-2.0
// The live feed: one WebSocket (in a worker: feed.ts), opened again with back-off. What is on screen is called live only while messages come.
import { effect, signal } from '@preact/signals';
import { ended, loadSession, renewing, session } from './api.ts';
import { Mesh } from './model.ts';
import type { FeedMessage, FeedOrder } from './feed.ts';
import type { Alarm } from './types.ts';

export type LiveStatus = 'connecting' | 'live' | 'lost';

export const mesh = new Mesh();
/** Counts up with each change of `mesh`; read it to be drawn again. */
export const meshTick = signal(0);
/** Counts up with each snapshot: agents or targets changed. */
export const meshShape = signal(0);
export const liveStatus = signal<LiveStatus>('connecting');
/** The server's time of the newest state shown; 0: none yet. */
export const shownMs = signal(0);
/** What the server's owner has to know now. */
export const alarms = signal<Alarm[]>([]);
/** The server's clock minus this browser's. */
export let clockOffsetMs = 0;
export const serverNow = (): number => Date.now() + clockOffsetMs;

const SILENCE_MS = 8000; // the server speaks each second
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15000;
const SESSION_ENDED = 4401;

let feed: Worker | undefined;
let connections = 0; // so far
let connected = 0; // the one there is; 0: none
let silence: ReturnType<typeof setTimeout> | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;
let retryMs = RETRY_MIN_MS;

const order = (what: FeedOrder): void => feed?.postMessage(what);

function receive(message: FeedMessage): void {
  if (message.of !== connected) return; // of a connection that is no more
  if (message.event === 'closed') return closed(message.code);
  listenForSilence();
  const { event, data } = message;
  clockOffsetMs = data.time_ms - Date.now();
  if (event === 'snapshot') {
    mesh.applySnapshot(data);
    meshShape.value++;
  } else if (event !== 'delta' || !mesh.applyDelta(data)) {
    return;
  }
  shownMs.value = data.time_ms;
  if (JSON.stringify(alarms.value) !== JSON.stringify(data.alarms ?? [])) alarms.value = data.alarms ?? [];
  liveStatus.value = 'live';
  retryMs = RETRY_MIN_MS;
  meshTick.value++;
}

function listenForSilence(): void {
  clearTimeout(silence);
  silence = setTimeout(() => lose(), SILENCE_MS);
}

function lose(): void {
  order({ of: connected });
  connected = 0;
  clearTimeout(silence);
  liveStatus.value = 'lost';
  meshTick.value++;
  if (!session.value || ended.value) return;
  clearTimeout(retry);
  retry = setTimeout(connect, retryMs * (0.5 + Math.random() / 2));
  retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
}

function connect(): void {
  clearTimeout(retry);
  if (connected || !session.value || ended.value) return;
  connected = ++connections;
  listenForSilence();
  order({ of: connected, url: `${location.protocol === 'http:' ? 'ws' : 'wss'}://${location.host}/live` });
}

function closed(code: number): void {
  if (renewing) { // the same person under a new id
    connected = 0;
    clearTimeout(silence);
    liveStatus.value = 'connecting';
    renewing.then(connect);
    return;
  }
  lose();
  // A refused upgrade tells a page nothing, and a session that has ended may have got a new id: ask by HTTP.
  loadSession().catch(() => {
    if (code === SESSION_ENDED) ended.value = true;
  });
}

function disconnect(): void {
  clearTimeout(retry);
  clearTimeout(silence);
  order({ of: connected });
  connected = 0;
  liveStatus.value = 'connecting';
}

export function startLive(): void {
  feed = new Worker(document.querySelector<HTMLMetaElement>('meta[name=feed]')!.content, { type: 'module' });
  feed.onmessage = (message: MessageEvent<FeedMessage>) => receive(message.data);
  let user: string | undefined;
  effect(() => {
    const now = ended.value ? undefined : session.value?.user;
    if (now === user) return;
    user = now;
    if (now) connect();
    else disconnect();
  });
  const hurry = () => {
    if (session.value && !connected) connect();
  };
  addEventListener('online', hurry);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') hurry();
  });
}
