// SPDX-License-Identifier: Apache-2.0
// Where a cell of the matrix stands. Pure.
import type { Order } from '../model.ts';

export interface Layout {
  /** A cell, its right and bottom grid line included. */
  cellWidth: number;
  cellHeight: number;
  headWidth: number;
  headHeight: number;
  /** wide: round-trip times in the cells, names upright; else glyphs only, names slanted. */
  wide: boolean;
  /** Room right of the last column for slanted names. */
  overhang: number;
}

export interface Spot {
  row: number; // in the order shown, not in the mesh
  column: number;
}

export const SLANT = Math.PI / 3.6;

export function fitLayout(width: number, columns: number, longestAgent: number, longestTarget: number): Layout {
  const headWidth = Math.round(Math.min(Math.max(longestAgent * 7.6 + 44, 116), width < 560 ? 132 : 236));
  const room = width - headWidth - 2;
  const each = columns > 0 ? Math.floor(room / columns) : room;
  if (each >= 78) {
    return { cellWidth: Math.min(each, 210), cellHeight: 36, headWidth, headHeight: 50, wide: true, overhang: 2 };
  }
  const size = each >= 34 ? 34 : each >= 26 ? each : columns > 160 ? 18 : 26;
  const label = Math.min(longestTarget * 6.9 + 10, width < 560 ? 112 : 168);
  const headHeight = Math.round(Math.max(56, label * Math.sin(SLANT) + 20));
  return {
    cellWidth: size, cellHeight: Math.max(size, 20), headWidth, headHeight, wide: false,
    overhang: Math.round(headHeight / Math.tan(SLANT)),
  };
}

/** Which cell is at a point of the visible canvas; undefined: none. */
export function spotAt(layout: Layout, order: Order, x: number, y: number, scrollX: number, scrollY: number): Spot | undefined {
  if (x < layout.headWidth || y < layout.headHeight) return undefined;
  const column = Math.floor((x - layout.headWidth + scrollX) / layout.cellWidth);
  const row = Math.floor((y - layout.headHeight + scrollY) / layout.cellHeight);
  return column < order.columns.length && row < order.rows.length ? { row, column } : undefined;
}
