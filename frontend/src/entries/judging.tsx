/** Second looks and disagreements: one building, its picture, and what it is. */
import { render } from "preact";
import "../styles/teams.css";

import * as api from "../api/teams";
import { createAnswers } from "../review/answers";
import { keySwitch } from "../review/desk";
import { createJudging } from "../teams/judging";
import { JudgingPage } from "../teams/JudgingPage";
import { element, pageData } from "./page";

const ASK_AGAIN_MS = 15_000; // while nothing waits
const page = pageData<{
  id: string;
  user: string;
  user_id: number;
  what: "look" | "settle";
  verdicts: api.Answer[];
}>();
const settles = page.what === "settle";

const answers = createAnswers(page.user_id, `${page.what}:${page.id}`);
const judge = createJudging(
  {
    async next(count) {
      if (settles) {
        const items = await api.disagreements(page.id, page.user_id);
        return { items, left: items.length };
      }
      const { looks, left } = await api.serve(page.id, page.user_id, count);
      return { items: looks, left };
    },
    prefetch({ id, before }) {
      for (const when of before ? (["after", "before"] as const) : (["after"] as const)) {
        new Image().src = api.picture(id, when, false);
      }
    },
  },
  answers,
  page.what,
);

const place = element("judging");
place.replaceChildren(); // what the page says until its script has come
render(
  <JudgingPage judge={judge} settles={settles} answers={page.verdicts} keys={keySwitch(page.user)} />,
  place,
);
void answers.begin().then(judge.ask); // what is kept here is not judged again

setInterval(() => {
  const { items, asking } = judge.store.now;
  if (!items.length && !asking && !document.hidden) void judge.ask();
}, ASK_AGAIN_MS);
document.addEventListener("visibilitychange", () => document.hidden && judge.flush());
for (const name of ["beforeunload", "pagehide"]) addEventListener(name, judge.leave);
answers.attend();
