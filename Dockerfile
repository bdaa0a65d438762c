# Build: compile the sources; the result is the package that npm publishes.
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev --omit=optional

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/sealpost
COPY --from=build /build/package.json /build/LICENSE ./
COPY --from=build /build/bin ./bin
COPY --from=build /build/dist ./dist
COPY --from=build /build/node_modules ./node_modules
RUN useradd --system --uid 1800 --home-dir /var/lib/sealpost --create-home sealpost \
  && ln -s /opt/sealpost/bin/sealpost /usr/local/bin/sealpost
USER sealpost
VOLUME /var/lib/sealpost
EXPOSE 2525 8025
ENTRYPOINT ["sealpost"]
CMD ["start", "--config", "/etc/sealpost/sealpost.yaml"]
