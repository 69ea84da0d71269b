// SPDX-License-Identifier: Apache-2.0
// Who did what, when and from where.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ended, message } from '../api.ts';
import { dateTime } from '../format.ts';
import { getAudit, type AuditRow } from '../people_api.ts';
import { Notice } from '../widgets.tsx';

const PAUSE_MS = 250; // after the last key
const EVERY_MS = 5000;

export function AuditPage() {
  const [text, setText] = useState('');
  const [rows, setRows] = useState<AuditRow[]>();
  const [next, setNext] = useState<number | null>(null);
  const [error, setError] = useState('');
  const turn = useRef(0);

  const load = (before: number | undefined, kept: AuditRow[]) => {
    const mine = ++turn.current;
    getAudit({ q: text.trim(), before }).then((page) => {
      if (mine !== turn.current) return;
      setRows([...kept, ...page.rows]);
      setNext(page.next);
      setError('');
    }).catch((cause) => mine === turn.current && setError(message(cause)));
  };
  /** What has come since, on top of what is shown. */
  const more = async () => {
    const mine = turn.current, newest = rows?.[0]?.id ?? 0;
    const page = await getAudit({ q: text.trim() });
    if (mine !== turn.current) return;
    const fresh = page.rows.filter((row) => row.id > newest);
    setError('');
    if (!fresh.length) return;
    if (fresh.length < page.rows.length || !rows?.length) setRows([...fresh, ...(rows ?? [])]);
    else load(undefined, []); // more than a page has come
  };
  useEffect(() => {
    if (ended.value) return;
    const timer = setInterval(() => {
      if (rows) more().catch((cause) => !ended.value && setError(message(cause)));
      else load(undefined, []);
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [rows, text, ended.value]);
  useEffect(() => {
    if (ended.value) return;
    const timer = setTimeout(() => load(undefined, []), text ? PAUSE_MS : 0);
    return () => {
      turn.current++;
      clearTimeout(timer);
    };
  }, [text, ended.value]);

  return (
    <>
      <div class="page-head"><h1 id="audit-title">Audit log</h1><input type="search" maxLength={100} aria-label="Search the audit log" placeholder="Search" value={text} onInput={(event) => setText(event.currentTarget.value)} /></div>
      {error && <Notice kind="error">{error}</Notice>}
      <section class="panel" aria-labelledby="audit-title">
        {!rows ? <p class="empty" role="status">Loading…</p> : rows.length === 0 ? <p class="empty">{next ? 'Nothing so far.' : 'Nothing fits.'}</p> : (
          <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="audit-title">
            <table class="stack">
              <thead><tr><th scope="col">Time</th><th scope="col">Who</th><th scope="col">By</th><th scope="col">From</th><th scope="col">Did</th><th scope="col">To</th><th scope="col">How</th></tr></thead>
              <tbody>{rows.map((row) => (
                <tr key={row.id} data-testid="audit-row" data-action={row.action}>
                  <td class="nowrap mono">{dateTime(row.time_ms)}</td><td class="long" data-label="Who">{row.user}</td><td data-label="By">{row.via}</td><td class="mono" data-label="From">{row.address}</td>
                  <td class="nowrap" data-label="Did">{row.action}</td><td class="long" data-label="To">{row.object}</td><td class="long" data-label="How">{row.detail}</td>
                </tr>
              ))}</tbody>
            </table>
          </div>
        )}
        {rows && next !== null && <p class="more"><button type="button" onClick={() => load(next, rows)}>{text ? 'Search on, further back' : 'Show more'}</button></p>}
      </section>
    </>
  );
}
