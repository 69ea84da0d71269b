// SPDX-License-Identifier: Apache-2.0
// What happened: who joined, who approved, what was changed.
import { useState } from 'preact/hooks';
import { getEvents } from '../api.ts';
import { dateTime } from '../format.ts';
import { mesh } from '../live.ts';
import { usePolled } from '../polled.ts';
import { Notice } from '../widgets.tsx';

const LIMIT = 500;

export function EventsPage() {
  const { data, error } = usePolled(() => getEvents(LIMIT), 5000);
  const [filter, setFilter] = useState('');
  const nameOf = (id: string | null) => (id ? mesh.agents.find((agent) => agent.id === id)?.host_name ?? id : '');
  const needle = filter.trim().toLowerCase();
  const events = (data ?? []).filter((event) => !needle || `${event.kind} ${nameOf(event.agent)} ${event.user ?? ''} ${event.text}`.toLowerCase().includes(needle));
  return (
    <>
      <div class="page-head"><h1 id="events-title">Events</h1><input type="search" aria-label="Filter events" placeholder="Filter" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} /></div>
      {error && <Notice kind="error">{error}</Notice>}
      <section class="panel" aria-labelledby="events-title">
        {!data ? <p class="empty" role="status">Loading…</p> : events.length === 0 ? <p class="empty">{needle ? 'No event fits the filter.' : 'Nothing has happened yet.'}</p> : (
          <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="events-title">
            <table class="stack">
              <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">Agent</th><th scope="col">User</th><th scope="col">What</th></tr></thead>
              <tbody>
                {events.map((event, i) => (
                  <tr key={i} data-testid="event" data-kind={event.kind}>
                    <td class="nowrap mono">{dateTime(event.time_ms)}</td><td class="nowrap">{event.kind.replaceAll('_', ' ')}</td><td class="long" data-label="Agent">{nameOf(event.agent)}</td><td class="long" data-label="User">{event.user}</td><td class="long">{event.text}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
    </>
  );
}
