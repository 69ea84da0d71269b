// SPDX-License-Identifier: Apache-2.0

/** HOST:PORT or [v6]:PORT that only this very machine can reach. */
export function isLoopback(address: string): boolean {
  const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '').toLowerCase();
  return /^127\./.test(host) || host === '::1' || host === 'localhost' || /^::ffff:127\./.test(host) || /^(0\.0\.0\.0|::)$/.test(host);
}
