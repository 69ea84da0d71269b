// SPDX-License-Identifier: Apache-2.0
export function Logo() {
  const squares: [number, number, string][] = [
    [0, 0, 'ok'], [1, 0, 'ok'], [2, 0, 'slow'], [0, 1, 'ok'], [1, 1, 'fail'], [2, 1, 'ok'], [0, 2, 'off'], [1, 2, 'ok'], [2, 2, 'ok'],
  ];
  return (
    <svg class="logo" viewBox="0 0 14 14" width="20" height="20" aria-hidden="true">
      {squares.map(([x, y, kind]) => <rect key={`${x}${y}`} class={kind} x={x * 5} y={y * 5} width="4" height="4" rx="1" />)}
    </svg>
  );
}
