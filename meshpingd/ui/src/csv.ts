// SPDX-License-Identifier: Apache-2.0
// CSV as RFC 4180 has it: lines end with CRLF or LF, a cell in quotes may hold commas, line ends and doubled quotes.
// Read are cells with semicolons between, too, as spreadsheets of many languages save them.

export class LineError extends Error {
  /** `line` counts from 1. */
  constructor(readonly line: number, reason: string) {
    super(`Line ${line}: ${reason}`);
  }
}

export interface CsvRow {
  /** Where it begins, from 1. */
  line: number;
  cells: string[];
}

/** Rows but for empty lines; a LineError says what is wrong and where. */
export function parseCsv(text: string, separator: ',' | ';' = ','): CsvRow[] {
  const rows: CsvRow[] = [];
  let at = text.startsWith('\uFEFF') ? 1 : 0, line = 1;
  const quoted = (): string => {
    const opened = line;
    let cell = '';
    for (at++; ; at++) {
      if (at >= text.length) throw new LineError(opened, 'a quote is opened and never closed');
      if (text[at] === '"' && text[++at] !== '"') return cell;
      if (text[at] === '\n') line++;
      cell += text[at];
    }
  };
  const plain = (): string => {
    const from = at;
    while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') {
      if (text[at] === '"') throw new LineError(line, 'a quote inside a cell that does not begin with one');
      at++;
    }
    return text.slice(from, at);
  };
  while (at < text.length) {
    const row: CsvRow = { line, cells: [] };
    const empty = text[at] === '\n' || text.startsWith('\r\n', at);
    for (;;) {
      row.cells.push(text[at] === '"' ? quoted() : plain());
      if (text[at] !== separator) break;
      at++;
    }
    if (text.startsWith('\r\n', at)) at++;
    if (at < text.length && text[at] !== '\n') throw new LineError(line, text[at] === '\r' ? 'a carriage return without a line feed' : 'text after a closing quote');
    at++;
    line++;
    if (!empty) rows.push(row);
  }
  return rows;
}

const cellText = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

export const formatCsv = (rows: readonly string[][]): string => rows.map((row) => `${row.map(cellText).join(',')}\r\n`).join('');
