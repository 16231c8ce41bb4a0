/** Judging a sample, blind to what the model said. */
import { render } from "preact";
import "../styles/quality.css";

import { judgeBuilding, judgeSquare, nextOf } from "../api/quality";
import { Judge, type JudgePage } from "../panels/Judge";
import { createJudge } from "../review/judging";
import { element, pageData } from "./page";

const page = pageData<JudgePage>();
const judge = createJudge({
  next: (limit) => nextOf(page.sample, limit),
  judgeBuilding,
  judgeSquare,
});
render(<Judge judge={judge} page={page} />, element("judge"));
void judge.more();

addEventListener("beforeunload", (event) => {
  if (judge.store.now.unsaved) event.preventDefault(); // the browser asks whether to leave
});
