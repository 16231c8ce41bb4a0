/** Review areas: who works where, which one is ours, and what waits for a second look. */
import type { Polygon } from "geojson";

import { Refused } from "../api/client";
import * as api from "../api/teams";
import type { Core } from "./state";
import { createStore } from "./store";

/** What the map shows of it. */
export interface TeamSight {
  show(areas: readonly api.TeamArea[]): void;
}

export interface TeamState {
  /** Null until the server has answered. */
  team: api.Team | null;
  /** Why it could not be asked for; "" if nothing is wrong. */
  trouble: string;
  busy: boolean;
}

const SOON_MS = 2000; // after an area changed hands
const LATER_MS = 10_000; // after a decision, if the panel is open: to count 200,000 buildings is work
const REFRESH_MS = 60_000; // for what happens by itself: a holder falls silent
const RENEW_MS = 60_000; // of the server's 30 minutes

export type Teams = ReturnType<typeof createTeams>;

export function createTeams({ page, store: review, say, fail }: Core) {
  const store = createStore<TeamState>({ team: null, trouble: "", busy: false });
  let sight: TeamSight | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due = Infinity; // when it is refreshed next
  let open = false;
  let active = false; // somebody did something since the last renewal

  const take = (team: api.Team): void => {
    store.set({ team, trouble: "" });
    sight?.show(team.areas);
  };

  const refresh = async (): Promise<void> => {
    if (!page.can_review || review.now.progress?.state !== "done") return;
    try {
      take(await api.team(page.id));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      store.set({ trouble: error.message });
    }
  };

  const refreshIn = (milliseconds: number): void => {
    const at = Date.now() + milliseconds;
    if (at >= due) return; // what is sooner does for both
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => {
      due = Infinity;
      void refresh();
    }, milliseconds);
  };

  /** Do one thing at a time; the answer is the whole team as it then is. */
  const run = async (work: () => Promise<api.Team>, said: string): Promise<void> => {
    if (store.now.busy) return;
    store.set({ busy: true });
    try {
      take(await work());
      say(said);
    } catch (error) {
      fail(error);
      await refresh(); // a refusal often means that ours is old
    } finally {
      store.set({ busy: false });
    }
  };

  const mine = (): api.TeamArea | undefined =>
    store.now.team?.areas.find((one) => one.mine && one.state === "claimed");

  const renew = async (): Promise<void> => {
    const area = mine();
    if (!area || !active) return;
    active = false;
    try {
      await api.renew(area.id);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.passing) return; // it is tried again in a minute
      say(error.message, true);
      await refresh();
    }
  };

  return {
    store,
    refresh,
    refreshSoon: (): void => refreshIn(SOON_MS),
    /** Opened, the panel shows what is true now; closed, it counts nothing. */
    setOpen(is: boolean): void {
      if (is && !open) void refresh();
      open = is;
    },
    /** The area that this person works on, as a filter for what comes next. */
    myArea: (): Polygon | null => mine()?.outline ?? null,
    see(theSight: TeamSight): void {
      sight = theSight;
      sight.show(store.now.team?.areas ?? []);
      void refresh();
      review.watch((now, before) => {
        if (now.progress?.state === "done" && before.progress?.state !== "done") void refresh();
        if (now.counts !== before.counts && open) refreshIn(LATER_MS);
      });
      for (const sign of ["keydown", "pointerdown"]) addEventListener(sign, () => (active = true));
      setInterval(() => void renew(), RENEW_MS);
      setInterval(() => document.hidden || void refresh(), REFRESH_MS);
    },
    splitByGrid: (columns: number, rows: number): Promise<void> =>
      run(() => api.split(page.id, { columns, rows }), "Split into areas."),
    splitByBuildings: (buildings: number): Promise<void> =>
      run(() => api.split(page.id, { buildings }), "Split into areas."),
    removeAll: (): Promise<void> =>
      run(() => api.removeAreas(page.id), "The areas are removed. All decisions stay."),
    claim: ({ id, label }: api.TeamArea): Promise<void> =>
      run(() => api.act(id, "claim"), `Area ${label} is yours.`),
    finish: ({ id, label }: api.TeamArea): Promise<void> =>
      run(() => api.act(id, "finish"), `Area ${label} is finished.`),
    release: ({ id, label }: api.TeamArea): Promise<void> =>
      run(() => api.act(id, "release"), `Area ${label} is free. All decisions in it stay.`),
    assign: ({ id, label }: api.TeamArea, member: number | null): Promise<void> =>
      run(
        () => api.assign(id, member),
        member === null ? `Area ${label} is for anybody.` : `Area ${label} is kept for that person.`,
      ),
    /** Store a drawn one; throws what the server refuses, so that the drawing stays. */
    async addArea(outline: Polygon): Promise<void> {
      take(await api.addArea(page.id, outline));
    },
    async addControl(uid: string, answer: api.Answer): Promise<void> {
      try {
        await api.addControl(page.id, uid, answer);
        say("It is a control building now.");
      } catch (error) {
        fail(error);
      }
    },
  };
}
