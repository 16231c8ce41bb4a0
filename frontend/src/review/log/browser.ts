/** What the log needs of the browser: a place, the other tabs' ears, one sender at a time, patience. */
import type { Draft } from "../../api/types";
import { logName, openLog, type Log } from "./database";
import type { KeeperParts } from "./keeper";
import type { Sent } from "./ledger";

export interface InBrowser<D extends Sent = Draft>
  extends Pick<KeeperParts<D>, "open" | "channel" | "alone" | "wait"> {
  /** It is worth trying again at once. */
  tryNow(): void;
}

export function inBrowser<D extends Sent = Draft>(user: number, log: Log): InBrowser<D> {
  const impatient = new Set<() => void>();
  return {
    open: () => openLog<D>(user, log),
    channel: new BroadcastChannel(logName(log, user)),
    alone: async (work) => {
      await navigator.locks.request(`unosat-send-${user}`, work);
    },
    wait: (milliseconds) =>
      new Promise((resolve) => {
        const go = (): void => {
          impatient.delete(go);
          resolve();
        };
        impatient.add(go);
        setTimeout(go, milliseconds);
      }),
    tryNow() {
      for (const go of [...impatient]) go();
    },
  };
}

/** Call `wake` whenever the line may be back, or the tab was asleep. */
export function onWaking(wake: () => void): void {
  for (const name of ["online", "focus"]) addEventListener(name, wake);
  document.addEventListener("visibilitychange", wake);
}
