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
    // Models are shown where they are used; a list of all of them would only make the page long.
    defaultModelsExpandDepth: -1,
    docExpansion: "list",
    // Do not ask an external validator.
    validatorUrl: null,
  });
} else {
  // ReDoc shows its makers' logo from their host. This page loads nothing from other hosts, so block such images.
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
