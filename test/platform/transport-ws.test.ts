import { transportSuite } from "./transportsuite.js";

transportSuite("ws");
