/** The page of a team: all of it is rendered by the server and refreshed by htmx. */
import "../styles/teams.css";
