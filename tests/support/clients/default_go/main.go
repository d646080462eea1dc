// Posts the body in a file with Go's own HTTP client as it is: with its length, in chunks, and expecting 100-continue.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	body, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	readers := []func() io.Reader{
		func() io.Reader { return bytes.NewReader(body) },
		func() io.Reader { return io.MultiReader(bytes.NewReader(body)) }, // of unknown length: in chunks
	}
	for _, reader := range readers {
		for _, expects := range []bool{false, true} {
			request, err := http.NewRequest("POST", os.Args[1], reader())
			if err != nil {
				panic(err)
			}
			request.Header.Set("Content-Type", "application/json")
			if expects {
				request.Header.Set("Expect", "100-continue")
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				panic(err)
			}
			said, err := io.ReadAll(answer.Body)
			if err != nil {
				panic(err)
			}
			answer.Body.Close()
			fmt.Println(answer.StatusCode, answer.Proto, string(said))
		}
	}
}
