-- Requests of which no two are alike: what a server keeps of the last one is of no use for the next.
local number = 0
local agents = { "curl/8.5.0", "python-httpx/0.28.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" }

request = function()
  number = number + 1
  wrk.headers["User-Agent"] = agents[number % 3 + 1]
  wrk.headers["X-Request-Number"] = tostring(number)
  return wrk.format("GET", wrk.path .. "?page=" .. number % 97 .. "&number=" .. number)
end
