/** The event page's upload form. */
import { render } from "preact";

import { UploadForm } from "../upload/UploadForm";
import { element, pageData } from "./page";

const { event, date } = pageData<{ event: string; date: string }>();
render(<UploadForm event={event} date={date} />, element("upload"));
