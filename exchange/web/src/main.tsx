import { render } from "preact";
import { App } from "./App";
import { followAddress } from "./store/address";
import { followKeys } from "./store/keys";
import { followMoment } from "./store/past";
import { start } from "./store/session";
import "uplot/dist/uPlot.min.css";
import "./style.css";

followAddress();
followMoment();
followKeys();
start();
const root = document.getElementById("screen");
if (root !== null) render(<App />, root);
