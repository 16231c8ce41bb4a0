/** Styles of the quality page and of the dashboard; what moves there is htmx's. */
import "../styles/quality.css";
