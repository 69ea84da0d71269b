// SPDX-License-Identifier: Apache-2.0
// docs/API.md, The server's key.
import { call } from './api.ts';
import type { ServerKeyState } from './types.ts';

const change = (what: string, body = {}) => call<ServerKeyState>(`/api/v1/server/key/${what}`, { method: 'POST', body });
export const getServerKey = () => call<ServerKeyState>('/api/v1/server/key');
export const beginServerKey = () => change('begin');
export const switchServerKey = (give_up: boolean) => change('switch', give_up ? { give_up } : {});
export const abortServerKey = () => change('abort');
