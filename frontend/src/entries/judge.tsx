/** Judging a sample, blind to what the model said. */
import { render } from "preact";
import "../styles/quality.css";

import { nextOf } from "../api/quality";
import { Judge, type JudgePage } from "../panels/Judge";
import { createAnswers } from "../review/answers";
import { keySwitch } from "../review/desk";
import { createJudge } from "../review/judging";
import { element, pageData } from "./page";

const page = pageData<JudgePage & { user: string; user_id: number }>();
const answers = createAnswers(page.user_id, `sample:${page.sample}`);
const judge = createJudge({ next: (limit) => nextOf(page.sample, page.user_id, limit) }, answers);
render(<Judge judge={judge} page={page} keys={keySwitch(page.user)} />, element("judge"));
void answers.begin().then(judge.more); // what is kept here is not judged again
answers.attend();
