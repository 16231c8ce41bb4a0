/** The page of a training run: its part that changes is fetched whenever the run has news. */
import { element } from "./page";

const run = element("run");
const news = new EventSource(run.dataset["events"] ?? "");

news.addEventListener("progress", ({ data }: MessageEvent<string>) => {
  const { finished_at } = JSON.parse(data) as { finished_at: string | null };
  if (finished_at) news.close();
  document.body.dispatchEvent(new Event("run-news"));
});
