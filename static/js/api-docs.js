// Shows the API's description. Markup: <main id="api" data-viewer="swagger|redoc" data-document="address of it">.

const place = document.getElementById("api");
const { viewer, document: address } = place.dataset;

if (viewer === "swagger") {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", paint);
  paint();
  SwaggerUIBundle({
    domNode: place,
    url: address,
    deepLinking: true,
    displayRequestDuration: true,
    // A model is opened where it is used; a list of all of them only makes the page long.
    defaultModelsExpandDepth: -1,
    docExpansion: "list",
    // Nobody else is asked whether the document is right.
    validatorUrl: null,
  });
} else {
  // ReDoc shows a sign of its makers that lies on their host. Nobody else is asked for anything here.
  const images = HTMLImageElement.prototype;
  Object.defineProperty(images, "src", { set(address) { this.setAttribute("src", address); } });
  images.setAttribute = function (name, value) {
    if (name !== "src" || !/^https?:/.test(value)) Element.prototype.setAttribute.call(this, name, value);
  };
  const theme = {
    colors: { primary: { main: "#0b5d57" } },
    typography: { fontFamily: "inherit", headings: { fontFamily: "inherit" } },
  };
  Redoc.init(address, { theme, nativeScrollbars: true }, place);
}
