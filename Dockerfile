# Build: compile the sources; the result is the package that npm publishes.
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
# By name, as in .dockerignore: keys and data of this folder do not get into a layer.
COPY LICENSE tsconfig.json tsconfig.build.json ./
COPY bin ./bin
COPY src ./src
COPY workers ./workers
COPY profiles ./profiles
COPY scripts/bundle.ts ./scripts/bundle.ts
COPY scripts/bundle ./scripts/bundle
COPY docs/partner.schema.json ./docs/partner.schema.json
RUN npm run build && npm prune --omit=dev --omit=optional

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/sealpost
COPY --from=build /build/package.json /build/LICENSE ./
COPY --from=build /build/bin ./bin
COPY --from=build /build/docs ./docs
COPY --from=build /build/dist ./dist
COPY --from=build /build/node_modules ./node_modules
RUN useradd --system --uid 1800 --home-dir /var/lib/sealpost --create-home sealpost \
  && ln -s /opt/sealpost/bin/sealpost /usr/local/bin/sealpost
USER sealpost
VOLUME /var/lib/sealpost
ENV SEALPOST_CONFIG=/etc/sealpost/sealpost.yaml
EXPOSE 2525 8025 8026
ENTRYPOINT ["sealpost"]
CMD ["start"]
